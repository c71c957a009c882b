"""The log as a whole: cut, written anew, put back, doubled. What is told depends on who remembers.

An attacker who rewrites everything that a store holds leaves a store that is sound in itself. Then
it is the checkpoint outside of it that tells, the verifier key that an auditor holds, or both.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs
import pytest

from persistence import Substrate
from persistence.audit import note
from persistence.audit.keyfile import Keyring, generate, save
from persistence.audit.record import leaf_hash
from persistence.audit.vkey import NoteError, VerifierKey
from persistence.errors import RollbackDetected, UnknownKey
from tests.audit.tampering import changes
from tests.audit.tampering.conftest import Planted
from tests.audit.tampering.planted import ORIGIN, copy_of, new_keys, plant, tampering, told
from tests.audit.tampering.rewriting import (
    change_filler,
    cut,
    empty,
    entry_at,
    rehash,
    relink,
    unsigned,
    write_entry,
)
from tests.audit.tampering.test_fields import table_of

Copied = Callable[[], Path]
LATE: Final = 200  # a transaction of the main line, long after the keys came
NEWEST: Final = "the newest checkpoint"


@pytest.fixture
def remembering(planted: Planted, tmp_path: Path) -> Keyring:
    """The keys of the planted store in a directory, which remembers its newest checkpoint."""
    for key in planted.keys.keys:
        save(tmp_path / "keys", key)
    ring = Keyring.load(tmp_path / "keys")
    with Substrate.open(copy_of(planted.path, tmp_path / "seen.db"), keys=ring) as s:
        s.audit.checkpoint()
    return ring


def size_of(path: Path) -> int:
    return len(table_of(path, "tx").rows)


def at(said: list[str], *places: str) -> bool:
    """Whether each of *places* is told of."""
    return all(any(line.startswith(place) for line in said) for place in places)


# --------------------------------------------------------------- the tail is cut


def test_a_cut_tail_is_refused_for_the_checkpoint_that_is_kept(
    planted: Planted, copied: Copied
) -> None:
    path, size = copied(), size_of(planted.path)
    with tampering(path) as file:
        cut(file, size - 3)
    with pytest.raises(RollbackDetected, match=f"{size} were signed for"):
        Substrate.open(path, keys=planted.keys)
    assert at(told(path, planted.keys), f"{NEWEST}: expected a log of at least {size} entries")


def test_a_cut_tail_without_its_checkpoint_lacks_one(planted: Planted, copied: Copied) -> None:
    path = copied()
    with tampering(path) as file:
        cut(file, size_of(path) - 3)
        file.execute("DELETE FROM checkpoint")
    assert at(told(path, planted.keys), f"{NEWEST}: expected a note that the log's key signed")


def test_a_cut_tail_is_refused_by_who_remembers(
    planted: Planted, copied: Copied, remembering: Keyring
) -> None:
    path, size = copied(), size_of(planted.path)
    with tampering(path) as file:
        cut(file, size - 3)
        file.execute("DELETE FROM checkpoint")
    with pytest.raises(RollbackDetected, match=f"{size - 3} entries, and {size} were signed for"):
        Substrate.open(path, keys=remembering)


# ------------------------------------------------------------ hashed anew, unsigned


def test_a_log_that_is_hashed_anew_is_told_by_the_author_and_by_the_log(
    planted: Planted, copied: Copied
) -> None:
    """The chain fits again, and the signature of the author does not."""
    path = copied()
    with tampering(path) as file:
        change_filler(file, LATE, 12_345)
        rehash(file, LATE)
    said = told(path, planted.keys)
    later = range(LATE, size_of(path) + 1)  # every header names its parent
    assert at(said, *(f"transaction t = {t} signature" for t in later), f"{NEWEST}, root")
    assert not any(" leaf" in line or " datoms root" in line for line in said)


def test_a_log_that_is_hashed_anew_without_signatures_is_told(
    planted: Planted, copied: Copied
) -> None:
    path = copied()
    with tampering(path) as file:
        change_filler(file, LATE, 12_345)
        rehash(file, LATE, unsigned)
        file.execute("DELETE FROM checkpoint")
    said = told(path, planted.keys)
    assert at(said, f"transaction t = {LATE} signature", NEWEST)
    assert "no signature, although the log is signed" in str(said)


def test_a_log_without_any_signature_is_refused_for_its_checkpoint(
    planted: Planted, copied: Copied
) -> None:
    path = copied()
    with tampering(path) as file:
        change_filler(file, LATE, 12_345)
        rehash(file, 1, unsigned)
    assert at(told(path, planted.keys), "transaction t = 1 signature", f"{NEWEST}, root")


def test_an_entry_that_is_added_without_a_key_is_told(planted: Planted, copied: Copied) -> None:
    path, size = copied(), size_of(planted.path)
    table = table_of(path, "tx")
    with tampering(path) as file:
        last = dict(table.rows[-1], t=size + 1, parent=size, id=bytes(32))
        changes.insert(file, table, last)
        for row in (row for row in table_of(path, "log").rows if row["t"] == size):
            changes.insert(file, table_of(path, "log"), {**row, "t": size + 1})
        rehash(file, size + 1)
    assert at(told(path, planted.keys), f"transaction t = {size + 1} signature")


# -------------------------------------------------------------- signed by others


@pytest.fixture
def counterfeit(tmp_path: Path) -> Planted:
    """The same facts in a log of the same origin, signed by keys of the attacker."""
    path, keys = tmp_path / "counterfeit.db", new_keys()
    plant(path, keys)
    return Planted(path, keys)


def test_a_log_that_others_signed_is_sound_in_itself_and_has_another_verifier_key(
    planted: Planted, counterfeit: Planted
) -> None:
    assert told(counterfeit.path, counterfeit.keys) == []
    held = VerifierKey.parse(_vkey(planted))
    with Substrate.open(counterfeit.path, keys=counterfeit.keys) as s:
        assert s.audit.origin == ORIGIN and s.audit.vkey != held.text
        with pytest.raises(NoteError, match="no known key signed"):
            note.open_checkpoint(s.audit.checkpoint(), [held])


def test_a_log_that_others_signed_takes_nothing_from_the_true_keys(
    planted: Planted, counterfeit: Planted
) -> None:
    with (
        Substrate.open(counterfeit.path, keys=planted.keys) as s,
        pytest.raises(UnknownKey, match="does not know the key of 'ana'"),
    ):
        s.fact.transact([["db/add", 1, "n", 1]], author="ana")


def test_a_log_that_others_signed_is_refused_by_who_remembers(
    counterfeit: Planted, remembering: Keyring
) -> None:
    with pytest.raises(RollbackDetected, match="not those that were signed for") as caught:
        Substrate.open(counterfeit.path, keys=remembering)
    assert len(_evidence(caught.value)) == 2


def _vkey(planted: Planted) -> str:
    with Substrate.open(planted.path, keys=planted.keys) as s:
        return s.audit.vkey


def _evidence(error: RollbackDetected) -> list[note.Checkpoint]:
    files = Path(str(error.data["evidence"])).iterdir()
    return [note.Checkpoint.parse(note.SignedNote.parse(file.read_bytes()).body) for file in files]


# ------------------------------------------------------- emptied, put back, doubled


def test_an_emptied_log_is_refused_by_who_remembers(
    planted: Planted, copied: Copied, remembering: Keyring
) -> None:
    path = copied()
    with tampering(path) as file:
        empty(file)
    with pytest.raises(RollbackDetected, match=r"has 0 entries"):
        Substrate.open(path, keys=remembering)


def test_an_emptied_log_beside_its_checkpoint_is_refused(planted: Planted, copied: Copied) -> None:
    path = copied()
    with tampering(path) as file:
        ((text,),) = file.execute("SELECT note FROM checkpoint").fetchall()
        empty(file)
        file.execute("INSERT INTO checkpoint VALUES (0, ?)", (text,))
    assert at(told(path, None), f"{NEWEST}: expected a log of at least")


def test_an_old_copy_is_refused_by_who_remembers_and_sound_to_all_others(
    planted: Planted, copied: Copied, remembering: Keyring
) -> None:
    """Nothing inside of a store tells its age: an older state of it is as sound as it was."""
    path, size = copied(), size_of(planted.path)
    with Substrate.open(path, keys=remembering) as s:
        s.fact.transact([["db/add", 1, "n", 1]], author="ana")
    copied()
    with pytest.raises(RollbackDetected, match=f"{size} entries, and {size + 1} were signed for"):
        Substrate.open(path, keys=remembering)
    assert told(path, planted.keys) == []


def test_clones_that_went_apart_convict_each_other(
    planted: Planted, tmp_path: Path, remembering: Keyring
) -> None:
    """Both were signed by the log's key; the notes that are kept say two things of one size."""
    one, other = (copy_of(planted.path, tmp_path / name) for name in ("one.db", "other.db"))
    for path, keys, n in ((one, remembering, 1), (other, planted.keys, 2)):
        with Substrate.open(path, keys=keys) as s:
            s.fact.transact([["db/add", 1, "n", n]], author="ana")
            vkey = VerifierKey.parse(s.audit.vkey)
    assert told(other, planted.keys) == []
    with pytest.raises(RollbackDetected) as caught:
        Substrate.open(other, keys=remembering)
    first, second = _evidence(caught.value)
    assert first.size == second.size and first.root != second.root
    for file in Path(str(caught.value.data["evidence"])).iterdir():
        note.open_checkpoint(file.read_text(), [vkey])


def test_an_older_checkpoint_in_place_of_the_newest_covers_less_and_nothing_false(
    planted: Planted, copied: Copied
) -> None:
    path = copied()
    with Substrate.open(path, keys=planted.keys) as s:
        older = s.audit.checkpoint()
        s.fact.transact([["db/add", 1, "n", 1]], author="ana")
    with tampering(path) as file:
        file.execute("UPDATE checkpoint SET note = ?", (older,))
    # The log itself is whole: entries after a checkpoint are no offence, they are not yet covered.
    assert told(path, planted.keys) == []


def test_a_checkpoint_that_another_key_signed_is_told(planted: Planted, copied: Copied) -> None:
    path, stranger = copied(), generate("log", ORIGIN)
    with Substrate.open(path, keys=planted.keys) as s:
        said = note.Checkpoint(ORIGIN, s.fact.db().basis, s.audit.root())
    assert stranger.private is not None
    with tampering(path) as file:
        text = note.sign(said.body, ORIGIN, stranger.private)
        file.execute("UPDATE checkpoint SET note = ?", (text,))
    assert at(told(path, planted.keys), f"{NEWEST}, signature")


# ------------------------------------------------------------- order, other stores


def test_entries_in_another_order_are_told_although_every_hash_fits(
    planted: Planted, copied: Copied
) -> None:
    """The author signs the parent, so a transaction has one place on its line."""
    path = copied()
    tx, log = table_of(path, "tx"), table_of(path, "log")
    with tampering(path) as file:
        one, other = tx.rows[LATE - 1], tx.rows[LATE]
        changes.swap(file, tx, one, other)
        both = [row for row in log.rows if row["t"] in (LATE, LATE + 1)]
        changes.swap(file, log, both[0], both[1])
        file.execute("UPDATE tx SET parent = t - 1 WHERE t IN (?, ?)", (LATE, LATE + 1))
        relink(file, LATE)
    said = told(path, planted.keys)
    assert at(said, f"transaction t = {LATE} parent", f"transaction t = {LATE + 1} parent")
    assert at(said, f"transaction t = {LATE + 1} time", f"{NEWEST}, root")
    assert not any(" signature" in line and "transaction" in line for line in said)


def test_a_transaction_of_another_store_is_told_by_its_signature(
    planted: Planted, tmp_path: Path, copied: Copied
) -> None:
    """Lesson 22: the same author writes both logs with the same key, in one process."""
    ana = planted.keys.author("ana")
    assert ana is not None
    elsewhere, keys = tmp_path / "other.db", Keyring.memory(generate("log", "example.com/b"), ana)
    path, size = copied(), size_of(planted.path)
    with (
        Substrate.open(elsewhere, keys=keys) as other,
        Substrate.open(path, keys=planted.keys) as s,
    ):
        other.fact.transact([["db/add", 1, "n", 1]], author="ana")
        assert s.fact.db().basis == size and other.fact.db().basis == 3
    there = {name: table_of(elsewhere, name) for name in ("tx", "log")}
    with tampering(path) as file:
        tx = dict(there["tx"].rows[-1], t=size + 1, parent=size, next_e=2_000)
        changes.insert(file, there["tx"], tx)
        for row in (row for row in there["log"].rows if row["t"] == 3):
            changes.insert(file, there["log"], {**row, "t": size + 1})
        last = entry_at(file, size)
        moved = attrs.evolve(entry_at(file, size + 1), previous_leaf=leaf_hash(last.encoded()))
        write_entry(file, size + 1, moved)
    said = told(path, planted.keys)
    assert at(said, f"transaction t = {size + 1} signature", f"transaction t = {size + 1} parent")


def test_a_fact_that_no_transaction_said_is_told(planted: Planted, copied: Copied) -> None:
    path = copied()
    table = table_of(path, "fact")
    held = next(row for row in table.rows if row["e"] == 1_000 and row["seg"] == 0)
    with tampering(path) as file:
        changes.insert(file, table, {**held, "e": 31_337, "v": 1})
    place = f"index segment 0 attribute {held['a']} entity 31337: expected 0 rows, found 1 rows"
    assert told(path, planted.keys) == [place]
