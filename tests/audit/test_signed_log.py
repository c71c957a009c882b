"""The signed log through the front door: what is signed, by whom, and what is refused."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from persistence import Keyword, Substrate
from persistence.audit import note
from persistence.audit.keyfile import Keyring, save
from persistence.audit.merkle import check_consistency, check_inclusion, leaf_hash
from persistence.audit.proof import Evidence, Proof
from persistence.audit.record import parse_entry
from persistence.audit.roster import AUTHOR, LOG
from persistence.audit.signing_key import KeyFile, generate
from persistence.audit.vkey import VerifierKey
from persistence.errors import AuditError, CorruptStore, RevokedKey, RollbackDetected, UnknownKey

ORIGIN = "example.com/tea"


@pytest.fixture
def ring(tmp_path: Path) -> Keyring:
    directory = tmp_path / "keys"
    for key in (generate("log", ORIGIN), generate("author", "ana"), generate("author", "bo")):
        save(directory, key)
    return Keyring.load(directory)


def authors(ring: Keyring) -> list[KeyFile]:
    return [key for key in ring.keys if key.role == "author"]


def checkpoint(s: Substrate) -> note.Checkpoint:
    return note.open_checkpoint(s.audit.checkpoint(), [VerifierKey.parse(s.audit.vkey)])


def test_opening_a_store_with_keys_begins_its_log(ring: Keyring, store_uri: str) -> None:
    with Substrate.open(store_uri, keys=ring) as s:
        assert s.audit.origin == ORIGIN
        assert [(key.role, key.name) for key in s.audit.keys] == [
            (LOG, ORIGIN),
            (AUTHOR, "ana"),
            (AUTHOR, "bo"),
        ]
        assert s.audit.verify() == []


def test_every_entry_is_signed_by_the_author_it_names(ring: Keyring, store_uri: str) -> None:
    with Substrate.open(store_uri, keys=ring) as s:
        t = s.fact.transact([{"item/name": "tea"}], author="bo").t
        evidence = Evidence.parse(s.audit.prove(t).extra or b"")
        entry = parse_entry(evidence.entry)
        assert entry.header.author == "bo"
        assert entry.public == ring.author("bo").public
        assert s.audit.verify() == []


def test_a_checkpoint_covers_every_commit(ring: Keyring, store_uri: str) -> None:
    with Substrate.open(store_uri, keys=ring) as s:
        for n in range(600):
            s.fact.transact([{"db/id": 1, "n": n}], author="ana")
        said = checkpoint(s)
        assert (said.origin, said.size, said.root) == (ORIGIN, s.fact.db().basis, s.audit.root())
        assert s.audit.verify() == []


def test_a_datom_is_proved_in_two_steps(ring: Keyring, store_uri: str) -> None:
    with Substrate.open(store_uri, keys=ring) as s:
        report = s.fact.transact([{"item/name": "tea", "item/price": 10}], author="ana")
        for datom in report.tx_data:
            proof = Proof.parse(s.audit.prove(datom).text)
            evidence = Evidence.parse(proof.extra or b"")
            said = note.open_checkpoint(proof.checkpoint, [VerifierKey.parse(s.audit.vkey)])
            leaf = leaf_hash(evidence.entry)
            check_inclusion(leaf, proof.index, said.size, proof.path, said.root)
            header = parse_entry(evidence.entry).header
            assert evidence.datom is not None and evidence.datom_index is not None
            check_inclusion(
                leaf_hash(evidence.datom),
                evidence.datom_index,
                header.datoms,
                evidence.datom_path,
                header.datoms_root,
            )


def test_a_later_log_is_shown_to_hold_an_earlier_one(ring: Keyring, store_uri: str) -> None:
    with Substrate.open(store_uri, keys=ring) as s:
        old = checkpoint(s)
        for n in range(40):
            s.fact.transact([{"db/id": 1, "n": n}], author="ana")
        new = checkpoint(s)
        path = s.audit.consistency(old.size, new.size)
        check_consistency(old.size, new.size, old.root, new.root, path)


def test_a_store_that_was_there_before_is_signed_from_now_on(ring: Keyring, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with Substrate.open(path) as s:
        for n in range(300):
            s.fact.transact([{"db/id": 1, "n": n}])
    with Substrate.open(path, keys=ring) as s:
        s.fact.transact([{"db/id": 1, "n": 300}], author="ana")
        assert s.audit.verify() == []
        assert checkpoint(s).size == 300 + 3 + 1


def test_without_keys_a_signed_log_is_read_and_not_written(ring: Keyring, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with Substrate.open(path, keys=ring) as s:
        s.fact.transact([{"db/id": 1, "n": 1}], author="ana")
    with Substrate.open(path) as s:
        assert s.fact.db().get(1, "n") == 1
        with pytest.raises(UnknownKey, match="opened without keys"):
            s.fact.transact([{"db/id": 1, "n": 2}])
        assert s.audit.verify() == []


def test_a_key_that_the_log_does_not_know_signs_nothing(ring: Keyring, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with Substrate.open(path, keys=ring):
        pass
    with Substrate.open(path, keys=Keyring.memory(generate("author", "eve"))) as s:
        before = s.fact.db().basis
        with pytest.raises(UnknownKey, match="does not know the key of 'eve'"):
            s.fact.transact([{"db/id": 1, "n": 2}])
        assert s.fact.db().basis == before


def test_a_revoked_key_signs_nothing_more_and_what_it_signed_stays(
    ring: Keyring, store_uri: str
) -> None:
    with Substrate.open(store_uri, keys=ring) as s:
        s.fact.transact([{"db/id": 1, "n": 1}], author="bo")
        assert s.audit.revoke_key("bo").until == s.fact.db().basis - 1
        with pytest.raises(RevokedKey, match="'bo'"):
            s.fact.transact([{"db/id": 1, "n": 2}], author="bo")
        s.fact.transact([{"db/id": 1, "n": 2}], author="ana")
        assert s.audit.verify() == []


def test_a_key_bound_to_namespaces_states_nothing_else(ring: Keyring, store_uri: str) -> None:
    carl = generate("author", "carl")
    ring = Keyring.memory(ring.log, *authors(ring), carl)
    with Substrate.open(store_uri, keys=Keyring.memory(ring.log, ring.author("ana"))) as s:
        s.audit.add_key("author", "carl", carl.public, namespaces=["item", "shop"])
        s.audit.use(ring)
        s.fact.transact([{"item/name": "tea", "shop.tea/shelf": 1}], author="carl", meta={"why": 1})
        with pytest.raises(AuditError, match=r"not of :user/name"):
            s.fact.transact([{"user/name": "Ada", "item/name": "tea"}], author="carl")
        assert s.audit.verify() == []


def test_the_log_key_can_be_rotated(ring: Keyring, store_uri: str) -> None:
    new = generate("log", ORIGIN)
    with Substrate.open(store_uri, keys=ring) as s:
        vkey, old = s.audit.vkey, checkpoint(s)
        s.audit.rotate_key(ORIGIN, new.public)
        s.audit.use(Keyring.memory(new, ring.author("ana")))
        s.fact.transact([{"db/id": 1, "n": 1}], author="ana")
        said = note.open_checkpoint(s.audit.checkpoint(), [VerifierKey(ORIGIN, new.public)])
        assert said.size > old.size and s.audit.vkey == vkey
        assert s.audit.verify() == []


def test_only_the_log_says_something_of_keys(ring: Keyring, store_uri: str) -> None:
    with Substrate.open(store_uri, keys=Keyring.memory(ring.log, ring.author("ana"))) as s:
        s.audit.use(Keyring.memory(ring.author("ana")))
        with pytest.raises(UnknownKey, match="only the log's own key"):
            s.audit.revoke_key("ana")


def test_an_old_copy_of_the_store_is_refused_and_both_checkpoints_kept(
    ring: Keyring, tmp_path: Path
) -> None:
    path = tmp_path / "store.db"
    with Substrate.open(path, keys=ring) as s:
        s.fact.transact([{"db/id": 1, "n": 1}], author="ana")
    old = path.read_bytes()
    with Substrate.open(path, keys=ring) as s:
        s.fact.transact([{"db/id": 1, "n": 2}], author="ana")
    path.write_bytes(old)
    for extra in ("-wal", "-shm"):
        path.with_name(path.name + extra).unlink(missing_ok=True)
    with pytest.raises(RollbackDetected, match="5 were signed for") as caught:
        Substrate.open(path, keys=ring)
    kept = list(Path(caught.value.data["evidence"]).iterdir())
    assert len(kept) == 2


def test_two_clones_that_went_apart_are_told(ring: Keyring, tmp_path: Path) -> None:
    one, other = tmp_path / "one.db", tmp_path / "other.db"
    with Substrate.open(one, keys=ring) as s:
        s.fact.transact([{"db/id": 1, "n": 1}], author="ana")
    other.write_bytes(one.read_bytes())
    with Substrate.open(one, keys=ring) as s:
        s.fact.transact([{"db/id": 1, "n": 2}], author="ana")
    elsewhere = Keyring.memory(ring.log, *authors(ring))
    with Substrate.open(other, keys=elsewhere) as s:
        for n in (3, 4):
            s.fact.transact([{"db/id": 1, "n": n}], author="ana")
    with pytest.raises(RollbackDetected, match="not those that were signed for"):
        Substrate.open(other, keys=ring)


def test_threads_that_share_a_commit_share_a_checkpoint(ring: Keyring, store_uri: str) -> None:
    with Substrate.open(store_uri, keys=ring) as s:

        def write(e: int) -> None:
            for n in range(20):
                s.fact.transact([{"db/id": e, "n": n}], author="ana")

        threads = [threading.Thread(target=write, args=(e,)) for e in range(1, 9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert checkpoint(s).size == 3 + 160
        assert s.audit.verify() == []


def test_an_event_is_said_once_and_of_its_own_transaction(ring: Keyring, store_uri: str) -> None:
    with Substrate.open(store_uri, keys=ring) as s:
        with pytest.raises(AuditError, match="an event of an unknown kind"):
            saying = [":db/add", ":db/current-tx", ":db.log/event", [Keyword("x")]]
            s.fact.transact([saying], author="ana")
        before = s.fact.db().basis
        assert s.fact.db().basis == before and s.audit.verify() == []


def test_the_head_survives_close_and_reopen(ring: Keyring, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    for n in range(3):
        with Substrate.open(path, keys=ring) as s:
            s.fact.transact([{"db/id": 1, "n": n}], author="ana")
            assert s.audit.verify() == []
    with Substrate.open(path, keys=ring) as s:
        assert len(s.audit.keys) == 3


def test_an_export_stands_under_what_witnesses_cosigned(
    ring: Keyring, store_uri: str, tmp_path: Path
) -> None:
    witness = generate("witness", "watcher.example")
    assert witness.private is not None

    def cosign(text: str) -> str:
        body = note.SignedNote.parse(text).body
        return note.attach(text, note.cosign(body, witness.name, witness.private, 1_700_000_000))

    with Substrate.open(store_uri, keys=ring) as s:
        text = s.audit.checkpoint(cosign=cosign)
        assert s.audit.checkpoint() == text
        s.audit.export(tmp_path / "tiles")
        assert (tmp_path / "tiles" / "checkpoint").read_text() == text
        assert note.cosignatures(text, [witness.verifier]) == [(witness.verifier, 1_700_000_000)]
        s.fact.transact([{"db/id": 1, "n": 1}], author="ana")
        assert note.claimed(s.audit.checkpoint()).size == note.claimed(text).size + 1


def test_a_checkpoint_that_cannot_be_read_is_told_at_open(ring: Keyring, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with Substrate.open(path, keys=ring):
        pass
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE checkpoint SET note = 'not a note'")
    with pytest.raises(CorruptStore, match="newest checkpoint"):
        Substrate.open(path, keys=ring)
