"""Lessons 16 and 19 to 23: what earlier systems got wrong about their audit logs.

What a killed writer leaves is in tests/crash, every single field in tests/audit/tampering, random
histories in tests/audit/test_log_machine.py; the cases here are those that were reproduced.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import apsw
import attrs
import pytest

from persistence import Keyring, Substrate
from persistence.attesting import examine
from persistence.audit import signature
from persistence.audit.keyfile import generate
from persistence.audit.merkle import (
    ProofError,
    check_consistency,
    check_inclusion,
    leaf_hash,
    root_from_inclusion,
)
from persistence.audit.proof import Evidence, Proof
from persistence.audit.record import parse_entry
from persistence.errors import RollbackDetected, TransactionError
from persistence.store import open_store
from tests.audit.tampering.planted import tampering
from tests.audit.tampering.rewriting import cut, empty, entry_at, rehash, with_header, write_entry

ORIGIN = "example.com/lessons"
BEGUN = 2  # entries: the log's key and the author's


@pytest.fixture
def keys(tmp_path: Path) -> Keyring:
    return Keyring.generate(ORIGIN, "ana", directory=tmp_path / "keys")


def in_memory(keys: Keyring) -> Keyring:
    """The same keys, of a process that remembers nothing."""
    return Keyring.memory(*keys.keys)


# ------------------------------------------------------------------------- lesson 16


def test_what_is_refused_leaves_neither_facts_nor_an_entry(store_uri: str, keys: Keyring) -> None:
    """Lesson 16: every entry has its facts, and all facts have an entry."""
    with Substrate.open(store_uri, keys=keys) as s:
        s.fact.transact([["db/add", 1, "n", 1]])
        before = s.audit.root()

        def refuse(base: object) -> list[object]:
            raise TransactionError("thought better of it")

        with pytest.raises(TransactionError):
            s.fact.transact([["db/add", 1, "n", 2], ["db/add", 1, "n", 3]])
        with pytest.raises(TransactionError, match="thought better"):
            s._connection.decided(refuse)
        assert s.audit.root() == before and s.fact.db().get(1, "n") == 1
        assert s.audit.verify() == []


# ------------------------------------------------------------------------- lesson 19

_WRITER = """
import sys
from persistence import Keyring, Substrate
uri, keys, e = sys.argv[1:]
with Substrate.open(uri, keys=Keyring.memory(*Keyring.load(keys).keys)) as s:
    for n in range(10):
        s.fact.transact([["db/add", int(e), "n", n]], author="ana")
"""


def test_the_chain_survives_threads_processes_and_being_closed(
    store_uri: str, keys: Keyring
) -> None:
    """Lesson 19: and it verifies from what is stored alone."""
    with Substrate.open(store_uri, keys=in_memory(keys)) as s:
        others = [
            subprocess.Popen([sys.executable, "-c", _WRITER, store_uri, str(keys.directory), e])
            for e in ("101", "102")
        ]

        def work(e: int) -> None:
            for n in range(10):
                s.fact.transact([["db/add", e, "n", n]])

        with ThreadPoolExecutor(3) as pool:
            list(pool.map(work, (1, 2, 3)))
        assert [other.wait(60) for other in others] == [0, 0]
    with closing(open_store(store_uri)) as store:
        assert examine(store) == []
        with store.snapshot() as snapshot:
            assert snapshot.head().t == BEGUN + 50
    with Substrate.open(store_uri, keys=keys) as s:
        s.fact.transact([["db/add", 1, "n", 10]])
        assert s.audit.verify() == []


# ------------------------------------------------------------------------- lesson 20

SIZE = BEGUN + 6
LATE = SIZE - 2


@pytest.fixture
def seen(tmp_path: Path, keys: Keyring) -> Path:
    """A small store, of whose newest checkpoint the key directory knows."""
    path = tmp_path / "store.db"
    with Substrate.open(path, keys=keys) as s:
        for n in range(SIZE - BEGUN):
            s.fact.transact([["db/add", 1, "n", n]])
        s.audit.checkpoint()
    return path


def edit(file: apsw.Connection) -> None:
    file.execute("UPDATE log SET v = 77 WHERE t = ? AND i = 0", (LATE,))


def drop(file: apsw.Connection) -> None:
    file.execute("DELETE FROM log WHERE t = ? AND i = 0", (LATE,))


def reorder(file: apsw.Connection) -> None:
    """Two transactions change places, datoms and all, and every leaf is hashed anew."""
    for table, column in (("tx", "t"), ("log", "t")):
        for old, new in ((LATE, 99), (LATE + 1, LATE), (99, LATE + 1)):
            file.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (new, old))
    rehash(file, LATE)


INSIDE: dict[str, tuple[Callable[[apsw.Connection], None], str]] = {
    "an edit": (edit, f"transaction t = {LATE} datoms root"),
    "a deletion": (drop, f"transaction t = {LATE} log"),
    "another order": (reorder, f"transaction t = {LATE} signature"),
}


@pytest.mark.parametrize("what", INSIDE)
def test_what_changed_inside_is_told_from_storage_alone(seen: Path, what: str) -> None:
    """Lesson 20, with valid bytes: each field can be read, and it is the chain that tells."""
    change, place = INSIDE[what]
    with tampering(seen) as file:
        change(file)
    with closing(open_store(str(seen))) as store:
        assert place in {finding.where for finding in examine(store)}


def truncate(file: apsw.Connection) -> None:
    cut(file, LATE)
    file.execute("DELETE FROM checkpoint")


def hash_anew(file: apsw.Connection) -> None:
    """Every entry says another time and none is signed, so that nothing inside is left to tell."""
    for t in range(1, SIZE + 1):
        held = entry_at(file, t)
        write_entry(file, t, with_header(held, time=held.header.time + 1))
    rehash(file, 1, lambda entry: attrs.evolve(entry, public=None, signature=None))
    file.execute("DELETE FROM checkpoint")


@pytest.mark.parametrize("change", [truncate, hash_anew, empty])
def test_what_changed_as_a_whole_is_told_by_who_remembers(
    seen: Path, keys: Keyring, change: Callable[[apsw.Connection], None]
) -> None:
    """Lesson 20: truncation, a full re-hash and an emptied log."""
    with tampering(seen) as file:
        change(file)
    with pytest.raises(RollbackDetected) as caught:
        Substrate.open(seen, keys=keys)
    assert caught.value.data["signed"] == SIZE
    assert list(Path(caught.value.data["evidence"]).iterdir())


# ------------------------------------------------------------------------- lesson 21


def test_what_is_stored_is_the_exact_change(store_uri: str, keys: Keyring) -> None:
    """Lesson 21: an entry is not only a hash, and loading it keeps its id."""
    with Substrate.open(store_uri, keys=keys) as s:
        s.fact.transact([["db/add", 1, "n", 1], ["db/add", 1, "text", "long " * 200]])
        spans = {"valid_from": "2020-01-01", "valid_to": "2030-01-01"}
        s.fact.transact([["db/add", 1, "n", 1.0]], **spans)
        report = s.fact.transact([["db/retract", 1, "n", 1], ["db/add", 1, "n", 2]])
    with Substrate.open(store_uri, keys=keys) as s:
        held = [datom for datom in s.fact.db().log() if datom.t == report.t]
        assert sorted(map(repr, held)) == sorted(map(repr, report.tx_data))
        with s._connection.store.snapshot() as snapshot:
            for row in snapshot.transactions(0, report.t, 100):
                entry = parse_entry(row.entry)
                assert entry.encoded() == row.entry and leaf_hash(row.entry) == row.leaf
                assert entry.header.id() == entry.id == row.id


# ------------------------------------------------------------------------- lesson 22


def test_two_stores_of_one_process_never_get_entries_of_each_other(tmp_path: Path) -> None:
    """Lesson 22: the same author writes both at once, with one key, in one thread and in many."""
    ana = generate("author", "ana")
    rings = [Keyring.memory(generate("log", f"example.com/{name}"), ana) for name in "ab"]
    with (
        Substrate.open(tmp_path / "a.db", keys=rings[0]) as a,
        Substrate.open(tmp_path / "b.db", keys=rings[1]) as b,
    ):
        start = threading.Barrier(4)

        def work(s: Substrate, name: str) -> None:
            start.wait()
            for n in range(15):
                s.fact.transact([["db/add", 1 + n, f"in/{name}", f"{name}{n}"]])

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, (a, b, a, b), "abab"))
        for s, name in ((a, "a"), (b, "b")):
            assert s.audit.verify() == []
            assert s.fact.db().basis == BEGUN + 30
            said = {str(d.a) for d in s.fact.db().log() if d.a.namespace == "in"}
            assert said == {f":in/{name}"}


# ------------------------------------------------------------------------- lesson 23

_ORDER = 2**252 + 27742317777372353535851937790883648493  # of the base point of Ed25519


def test_a_signature_has_one_spelling() -> None:
    """Lesson 23: S and S + L satisfy the same equation, and only one of them counts."""
    key = generate("author", "ana")
    signed = key.sign(b"tea")
    s = int.from_bytes(signed[32:], "little") + _ORDER
    assert signature.problem(key.public, signed, b"tea") is None
    assert signature.problem(key.public, signed[:32] + s.to_bytes(32, "little"), b"tea")
    assert signature.problem(bytes([1, *bytes(31)]), signed, b"tea")  # a point of small order


def test_a_proof_of_another_size_or_of_nothing_is_an_error(keys: Keyring) -> None:
    """Lesson 23."""
    with Substrate.open(":memory:", keys=in_memory(keys)) as s:
        for n in range(9):
            s.fact.transact([["db/add", 1, "n", n]])
        proof = Proof.parse(s.audit.prove(3).text)
        size, root = s.fact.db().basis, s.audit.root()
        leaf = leaf_hash(Evidence.parse(proof.extra or b"").entry)
        check_inclusion(leaf, proof.index, size, proof.path, root)
        for other in (size - 4, size + 8, 0):
            with pytest.raises(ProofError):
                check_inclusion(leaf, proof.index, other, proof.path, root)
        with pytest.raises(ProofError):
            root_from_inclusion(leaf, size, size, proof.path)
        with pytest.raises(ProofError):
            check_inclusion(leaf, proof.index, size, [], root)
        with pytest.raises(ProofError):
            check_consistency(4, size, s.audit.root(4), root, s.audit.consistency(5))
        with pytest.raises(ProofError):
            check_consistency(4, size, s.audit.root(4), root, [])
