"""A proof shows what it proves, and says what is wrong with it and where."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from persistence.audit import note
from persistence.audit.merkle import Nodes, inclusion_path, leaf_hash
from persistence.audit.proof import Evidence, Proof
from persistence.audit.record import Entry
from persistence.audit.verify import Report, verify_proof
from persistence.audit.vkey import COSIGNATURE, NoteError, VerifierKey
from persistence.values import Keyword, Map, Tagged, encode_datom
from tests.audit.logs import ORIGIN, Log, key, public, vkey

SEALED = Tagged("db/sealed", bytes(32))
DATOMS = [
    encode_datom(7, Keyword("item/sku"), "tea", 0, 5, True),
    encode_datom(7, Keyword("item/price"), 10, 0, 2**63 - 1, True),
    encode_datom(7, Keyword("user/email"), SEALED, 0, 2**63 - 1, False),
]


def nodes(leaves: list[bytes]) -> Nodes:
    return Nodes(lambda start, stop: leaves[start:stop], lambda level, start, stop: [])


def prove(log: Log, at: int, datom: int | None = None, **options: Any) -> Proof:
    """The proof of entry *at*, and of the datom of that number among `DATOMS`."""
    leaves = [leaf_hash(one.encoded()) for one in log.entries]
    evidence = Evidence(log.entries[at].encoded())
    if datom is not None:
        hashes = [leaf_hash(one) for one in DATOMS]
        path = tuple(inclusion_path(datom, len(DATOMS), nodes(hashes)))
        evidence = Evidence(evidence.entry, DATOMS[datom], datom, len(DATOMS), path)
    path = tuple(inclusion_path(at, len(leaves), nodes(leaves)))
    return Proof(at, path, log.checkpoint(**options), evidence.encoded())


def evidence_of(proof: Proof) -> Evidence:
    assert proof.extra is not None
    return Evidence.parse(proof.extra)


def replaced(proof: Proof, **fields: Any) -> Proof:
    parts = {"index": proof.index, "path": proof.path, "checkpoint": proof.checkpoint}
    return Proof(**{**parts, "extra": proof.extra, **fields})


def wheres(report: Report) -> list[str]:
    return [finding.where for finding in report.findings]


@pytest.fixture
def log() -> Log:
    made = Log().begin()
    for _ in range(5):
        made.add(datoms=DATOMS)
    return made


@pytest.mark.parametrize(
    ("datom", "shown"),
    [
        (0, '[7 :item/sku "tea" #inst "1970-01-01T00:00:00Z" #inst "1970-01-01T00:00:00.000005Z"'),
        (1, '[7 :item/price 10 #inst "1970-01-01T00:00:00Z" nil true]'),
        (2, "[7 :user/email #db/sealed #bytes "),
    ],
)
def test_a_datom_is_shown_with_who_recorded_it_when_and_where(
    datom: int, shown: str, log: Log
) -> None:
    report = verify_proof(prove(log, 4, datom).text, vkey())
    assert report.findings == ()
    assert str(report.says["datom"]).startswith(shown)
    assert {name: report.says[name] for name in ("origin", "size", "index", "author")} == {
        "origin": ORIGIN,
        "size": 7,
        "index": 4,
        "author": '"ada"',
    }
    assert report.says["time"] == '#inst "2026-04-14T00:00:00.000004Z"'
    assert report.says["transaction"] == log.entries[4].id.hex()
    assert report.says["signed by"] == public("ada").hex()
    assert report.notes == (
        "whether the author's key was in force at this entry is not in a proof; an export shows it",
    )


def test_a_proof_of_a_transaction_says_that_it_is_of_no_datom(log: Log) -> None:
    report = verify_proof(prove(log, 4).text, vkey())
    assert report.clean
    assert "datom" not in report.says
    assert (
        report.notes[1] == "the proof is of the transaction as a whole, and of none of its datoms"
    )


def test_an_event_is_shown(log: Log) -> None:
    report = verify_proof(prove(log, 1).text, vkey())
    assert report.clean
    assert str(report.says["event"]).startswith('[:key/add :author "ada" #bytes')


def test_an_unsigned_entry_is_said_to_be_one() -> None:
    log = Log()
    log.add(None, datoms=DATOMS)
    report = verify_proof(prove(log, 0, 1).text, vkey())
    assert report.clean
    assert report.notes == (
        "the entry bears no signature of its author; only the log vouches for it",
    )


def test_after_a_rotation_the_log_is_named_by_its_first_key(log: Log) -> None:
    log.rotate("log", "log2")
    log.add(datoms=DATOMS)
    text = prove(log, 8, 1, by="log2").text
    assert verify_proof(text, vkey(), signer=vkey("log2")).clean
    assert wheres(verify_proof(text, vkey())) == ["checkpoint"]
    assert wheres(verify_proof(text, vkey("log2"))) == ["entry, signature"]


# ------------------------------------------------------------------ witnesses


def witness(name: str) -> str:
    return VerifierKey(name, public(name), COSIGNATURE).text


def cosigned(proof: Proof, *names: str, by: Ed25519PrivateKey | None = None) -> str:
    body = note.SignedNote.parse(proof.checkpoint).body
    lines = [note.cosign(body, name, by or key(name), 1_776_124_800) for name in names]
    return replaced(proof, checkpoint=note.attach(proof.checkpoint, lines)).text


def test_witnesses_who_cosigned_are_named_with_their_time(log: Log) -> None:
    text = cosigned(prove(log, 4, 1), "w1", "w2")
    report = verify_proof(text, vkey(), witnesses=[witness("w1"), witness("w2")], need=2)
    assert report.clean
    assert report.says["cosigned"] == (
        'w1 at #inst "2026-04-14T00:00:00Z"; w2 at #inst "2026-04-14T00:00:00Z"'
    )


def test_too_few_cosignatures_are_found(log: Log) -> None:
    text = cosigned(prove(log, 4, 1), "w1", "stranger")
    known = [witness("w1"), witness("w2")]
    assert verify_proof(text, vkey(), witnesses=known, need=1).clean
    report = verify_proof(text, vkey(), witnesses=known, need=2)
    assert wheres(report) == ["cosignatures"]
    assert report.findings[0].found == "w1"


def test_one_witness_under_two_names_counts_once(log: Log) -> None:
    body = note.SignedNote.parse(prove(log, 4).checkpoint).body
    lines = [note.cosign(body, name, key("w1"), 7) for name in ("w1", "w9")]
    proof = prove(log, 4)
    text = replaced(proof, checkpoint=note.attach(proof.checkpoint, lines)).text
    names = [VerifierKey(name, public("w1"), COSIGNATURE) for name in ("w1", "w9")]
    report = verify_proof(text, vkey(), witnesses=[*names, witness("w2")], need=2)
    assert wheres(report) == ["cosignatures"]
    with pytest.raises(ValueError, match="2 cosignatures are needed, of 1 witnesses"):
        verify_proof(text, vkey(), witnesses=names, need=2)


def test_a_wrong_cosignature_is_found_even_where_none_is_needed(log: Log) -> None:
    proof = prove(log, 4, 1)
    other = note.SignedNote.parse(log.checkpoint(size=3)).body
    line = note.cosign(other, "w1", key("w1"), 7)
    text = replaced(proof, checkpoint=note.attach(proof.checkpoint, [line])).text
    report = verify_proof(text, vkey(), witnesses=[witness("w1")])
    assert wheres(report) == ["cosignatures"]


def test_a_key_of_the_wrong_kind_is_misuse(log: Log) -> None:
    text = prove(log, 4).text
    with pytest.raises(NoteError, match="not that of a witness"):
        verify_proof(text, vkey(), witnesses=[vkey()])
    with pytest.raises(NoteError, match="cosigns as a witness"):
        verify_proof(text, witness("w1"))


# ------------------------------------------------------------------ what is wrong


def test_what_is_no_proof_is_found() -> None:
    assert wheres(verify_proof("nothing", vkey())) == ["proof"]
    assert wheres(verify_proof(b"\xff" * 10, vkey())) == ["proof"]
    assert wheres(verify_proof("x" * (1 << 21), vkey())) == ["proof"]


def test_a_proof_without_evidence_proves_nothing(log: Log) -> None:
    assert wheres(verify_proof(replaced(prove(log, 4), extra=None).text, vkey())) == ["evidence"]
    assert wheres(verify_proof(replaced(prove(log, 4), extra=b"?").text, vkey())) == ["evidence"]


def test_a_checkpoint_by_another_key_is_found(log: Log) -> None:
    report = verify_proof(prove(log, 4, 1, by="mallory").text, vkey())
    assert wheres(report) == ["checkpoint"]


def test_a_checkpoint_of_another_origin_is_found(log: Log) -> None:
    report = verify_proof(prove(log, 4).text, vkey(origin="example.com/other"))
    assert wheres(report) == ["checkpoint", "entry, signature"]


@pytest.mark.parametrize("size", [6, 5])
def test_a_proof_for_another_tree_size_is_found(size: int, log: Log) -> None:
    proof = replaced(prove(log, 4, 1), checkpoint=log.checkpoint(size=size))
    assert wheres(verify_proof(proof.text, vkey())) == [f"entry 4, inclusion in {size}"]


def test_a_proof_for_another_index_is_found(log: Log) -> None:
    report = verify_proof(replaced(prove(log, 4), index=5).text, vkey())
    assert wheres(report) == ["entry 5, inclusion in 7"]
    assert "leads to another root" in report.findings[0].found


def swapped_in(proof: Proof, made: Entry) -> Proof:
    old = evidence_of(proof)
    new = Evidence(made.encoded(), old.datom, old.datom_index, old.datoms, old.datom_path)
    return replaced(proof, extra=new.encoded())


def test_an_entry_that_is_not_in_the_log_is_found(log: Log) -> None:
    proof = swapped_in(prove(log, 4, 1), log.entries[5])
    assert wheres(verify_proof(proof.text, vkey())) == ["entry 4, inclusion in 7"]


def test_a_wrong_author_signature_is_found(log: Log) -> None:
    log.entries[4] = attrs.evolve(log.entries[4], signature=log.entries[3].signature)
    assert wheres(verify_proof(prove(log, 4, 1).text, vkey())) == ["entry, signature"]


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"datom": DATOMS[0]}, ["datom, inclusion"]),
        ({"datom_index": 0}, ["datom, inclusion"]),
        ({"datom": b"\x01"}, ["datom, inclusion"]),
        ({"datoms": 4}, ["datom"]),  # whose path has the same shape
    ],
    ids=str,
)
def test_a_datom_that_is_not_in_the_entry_is_found(
    fields: dict[str, Any], found: list[str], log: Log
) -> None:
    proof = prove(log, 4, 1)
    old = evidence_of(proof)
    parts = {name: getattr(old, name) for name in Evidence.__dataclass_fields__}
    changed = replaced(proof, extra=Evidence(**{**parts, **fields}).encoded())
    assert wheres(verify_proof(changed.text, vkey())) == found


def test_bytes_that_are_no_datom_are_found_although_the_entry_has_them() -> None:
    log = Log().begin()
    log.add(datoms=[b"\x01"])
    proof = prove(log, 2)
    new = Evidence(log.entries[2].encoded(), b"\x01", 0, 1, ())
    report = verify_proof(replaced(proof, extra=new.encoded()).text, vkey())
    assert wheres(report) == ["datom"]


def test_an_entry_of_anything_is_found(log: Log) -> None:
    proof = replaced(prove(log, 4), extra=Evidence(b"any").encoded())
    assert wheres(verify_proof(proof.text, vkey())) == ["entry 4, inclusion in 7", "entry"]


SOUND = Log().begin()
SOUND.add(datoms=DATOMS)
TEXT = prove(SOUND, 2, 1).text


@given(st.integers(0, len(TEXT) - 1), st.characters())
def test_a_change_of_any_character_is_found(at: int, character: str) -> None:
    changed = TEXT[:at] + character + TEXT[at + 1 :]
    report = verify_proof(changed, vkey())
    # A line of a stranger may be below the checkpoint; only those of known keys count.
    assert report.clean is (changed == TEXT)


@given(st.text() | st.binary() | st.text().map(("c2sp.org/tlog-proof@v1\n" + "{}").format))
def test_anything_gives_a_report(text: str | bytes) -> None:
    assert not verify_proof(text, vkey()).clean


def test_values_are_shown_so_that_no_terminal_obeys_them() -> None:
    log = Log().begin()
    datom = encode_datom(7, Keyword("a"), Map({"x": "\x1b[2J\u202e"}), 0, 5, True)
    log.add(datoms=[datom])
    proof = prove(log, 2)
    new = Evidence(log.entries[2].encoded(), datom, 0, 1, ())
    report = verify_proof(replaced(proof, extra=new.encoded()).text, vkey())
    assert report.clean
    assert "\x1b" not in str(report.says["datom"])
