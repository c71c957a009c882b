"""Every way in which an exported log can be wrong is found, and at its place."""

from __future__ import annotations

import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persistence.audit import note
from persistence.audit.merkle import TILE
from persistence.audit.record import entry
from persistence.audit.roster import ADD, AUTHOR, LOG
from persistence.audit.tiles import encode_bundle
from persistence.audit.verify import Report, verify_export
from persistence.audit.vkey import COSIGNATURE, VerifierKey
from persistence.values import Keyword
from tests.audit.logs import EPOCH, ORIGIN, Log, key, public, vkey


def wheres(report: Report) -> list[str]:
    return [finding.where for finding in report.findings]


@pytest.fixture
def log() -> Log:
    """Two authors, a branch, an erasure; 12 entries."""
    made = Log().begin("ada", "bob")
    for _ in range(4):
        made.add()
    made.add("bob", author="bob", branch=5)
    made.add()
    made.add("bob", author="bob", branch=5)
    made.erase(3)
    made.add()
    return made


@pytest.fixture
def verify(tmp_path: Path) -> Callable[..., Report]:
    """Exports a log, and verifies what was exported."""

    def verified(log: Log, *, by: str | None = None, anchor: str = "log", **options: Any) -> Report:
        shutil.rmtree(tmp_path / "log", ignore_errors=True)
        texts = {name: options.pop(name) for name in ("checkpoint", "change") if name in options}
        directory = log.export(tmp_path / "log", by=by, **texts)
        return verify_export(directory, vkey(anchor), **options)

    return verified


Verify = Callable[..., Report]


# ------------------------------------------------------------------ what holds


def test_a_sound_log_is_counted(log: Log, verify: Verify) -> None:
    report = verify(log)
    assert report.findings == ()
    assert report.clean
    assert report.notes == ()
    assert dict(report.counts) == {
        "transactions": 12,
        "signed": 12,
        "unsigned": 0,
        "datoms": 12,
        "redacted": 3,
        "authors": 2,
        "branches": 2,
    }
    assert report.says["origin"] == ORIGIN
    assert report.says["vkey"] == vkey()


@pytest.mark.parametrize("size", [1, 255, 256, 257, 512, 700])
def test_logs_of_every_shape_of_tile_hold(size: int, verify: Verify) -> None:
    log = Log()
    for _ in range(size - 1):
        log.add(None)
    log.add("log", event=(ADD, LOG, ORIGIN, public("log"), ()))
    report = verify(log, remembered=log.checkpoint(size=size))
    assert report.findings == ()
    assert report.counts["unsigned"] == size - 1


def test_processes_find_what_one_finds(verify: Verify) -> None:
    log = Log().begin()
    for _ in range(30):
        log.add()
    forged = log.entries[9].signature
    log.entries[20] = attrs.evolve(log.entries[20], signature=forged)
    log.rehashed(21)
    alone, shared = verify(log, processes=1), verify(log, processes=2)
    assert wheres(alone) == ["entry 20, signature"]
    assert shared == alone


def test_without_signatures_the_report_says_so(log: Log, verify: Verify) -> None:
    log.entries[4] = attrs.evolve(log.entries[4], signature=log.entries[3].signature)
    log.rehashed(5)
    assert wheres(verify(log)) == ["entry 4, signature"]
    report = verify(log, signatures=False)
    assert report.clean
    assert report.notes == (
        "the signatures of authors were not checked, only those on keys and checkpoints",
    )


def test_an_empty_log_holds(verify: Verify) -> None:
    report = verify(Log())
    assert report.findings == ()
    assert report.counts["transactions"] == 0


def test_progress_is_told(log: Log, verify: Verify) -> None:
    seen: list[tuple[int, int]] = []
    verify(log, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(12, 12)]


# ------------------------------------------------------------------ keys


def rotated() -> Log:
    """The log key went from log to log2 to log3, and ada's key to ada2, between entries of hers."""
    log = Log().begin()
    log.add()
    log.rotate("log", "log2")
    log.rotate("ada", "ada2", by="log2")
    log.add("ada2")
    log.rotate("log2", "log3", by="log2")
    log.add("ada2")
    return log


@pytest.mark.parametrize("anchor", ["log", "log2", "log3"])
def test_the_log_leads_from_each_of_its_keys_to_the_current_one(
    anchor: str, verify: Verify
) -> None:
    report = verify(rotated(), by="log3", anchor=anchor)
    assert report.findings == ()
    assert report.says["vkey"] == vkey("log3")


def test_a_checkpoint_by_a_key_that_ended_is_found(verify: Verify) -> None:
    report = verify(rotated(), by="log")
    assert wheres(report) == ["checkpoint, signature"]
    assert "ended at index 3" in report.findings[0].found


def test_an_older_checkpoint_may_be_of_a_key_that_was_in_force_then(verify: Verify) -> None:
    log = rotated()
    assert verify(log, by="log3", remembered=log.checkpoint("log", 3)).clean
    report = verify(log, by="log3", remembered=log.checkpoint("log2", 3))
    assert wheres(report) == ["remembered checkpoint, signature"]
    assert "added at index 3" in report.findings[0].found


def test_a_key_of_the_same_origin_that_the_log_does_not_know_is_found(verify: Verify) -> None:
    report = verify(rotated(), by="log3", anchor="mallory")
    assert wheres(report) == ["log, key", "checkpoint, signature"]


def test_a_log_that_names_the_auditors_key_without_its_consent_is_found(verify: Verify) -> None:
    """The forger's own key lets the auditor's in and ends it again; it never signed anything."""
    log = Log(first="mallory").begin()
    log.add("mallory", event=(ADD, LOG, "spare", public("spare"), ()))
    log.rotate("mallory", "log", by="spare")
    log.rotate("log", "mallory2", by="spare")
    log.add()
    report = verify(log, by="mallory2")
    assert wheres(report) == ["checkpoint, signature"]
    assert "which that key did not let in" in report.findings[0].found


def test_a_revoked_author_who_signs_on_is_found_and_earlier_work_stays(verify: Verify) -> None:
    log = Log().begin("ada", "bob")
    log.add()
    log.revoke("ada")
    log.add("bob", author="bob")
    assert verify(log).clean
    log.add("ada")
    report = verify(log)
    assert wheres(report) == ["entry 6, signer"]
    assert "ended at index 4" in report.findings[0].found


EVENTS: list[tuple[str, Callable[[Log], object], str]] = [
    ("author", lambda log: log.let_in("eve", by="ada"), "no log key signed"),
    ("stranger", lambda log: log.let_in("eve", by="eve"), "the log does not know"),
    (
        "unsigned",
        lambda log: log.add(None, event=(ADD, AUTHOR, "eve", public("eve"), ())),
        "no sig",
    ),
    ("second", lambda log: log.let_in("ada", at="eve"), "second key of role author"),
    ("known", lambda log: log.let_in("eve", at="ada"), "has known before"),
    ("unknown", lambda log: log.revoke("eve"), "the end of a key that the log does not know"),
    ("only", lambda log: log.revoke("log"), "the end of the only log key"),
    ("kind", lambda log: log.add("log", event=(Keyword("key/lend"), b"")), "an unknown kind"),
    ("shape", lambda log: log.add("log", event=()), "an unknown kind"),
    ("count", lambda log: log.add(event=(Keyword("erase"), (7,), -1)), "an unknown kind"),
    ("key", lambda log: log.add("log", event=(ADD, AUTHOR, "eve", b"short", ())), "32 bytes"),
    ("name", lambda log: log.add("log", event=(ADD, AUTHOR, "", public("eve"), ())), "a name"),
    ("spaces", lambda log: log.add("log", event=(ADD, AUTHOR, "e", public("e"), 1)), "no vector"),
    ("erasure", lambda log: log.erase(1, by="log"), "a transaction signed by a key of role log"),
    ("eraser", lambda log: log.erase(1, by="eve"), "the log does not know"),
]


@pytest.mark.parametrize(
    ("event", "found"), [one[1:] for one in EVENTS], ids=[e[0] for e in EVENTS]
)
def test_an_event_that_breaks_a_rule_is_found(
    event: Callable[[Log], object], found: str, log: Log, verify: Verify
) -> None:
    event(log)
    report = verify(log)
    assert wheres(report) == ["entry 12, signer"]
    assert found in report.findings[0].found


def test_an_event_whose_signature_does_not_hold_changes_no_keys(log: Log, verify: Verify) -> None:
    made = log.let_in("eve")
    log.entries[-1] = attrs.evolve(made, signature=log.entries[0].signature)
    log.add("eve", author="eve")
    report = verify(log.rehashed(13), signatures=False)
    assert wheres(report) == ["entry 12, signer", "entry 13, signer"]
    assert "does not belong to this key" in report.findings[0].found
    assert "the log does not know" in report.findings[1].found


def test_a_first_key_that_another_one_signed_for_is_found(verify: Verify) -> None:
    log = Log()
    log.add("mallory", event=(ADD, LOG, ORIGIN, public("log"), ()))
    report = verify(log)
    assert wheres(report) == ["entry 0, signer", "log"]
    assert report.findings[1].found == "a log without keys"


def test_a_log_without_keys_is_found(verify: Verify) -> None:
    log = Log()
    log.add(None)
    assert wheres(verify(log)) == ["log"]


# ------------------------------------------------------------------ signers


@pytest.mark.parametrize(
    ("by", "author", "found"),
    [
        (None, "ada", "no signature, although the log is signed"),
        ("bob", "ada", "the author 'ada', signed by the key of 'bob'"),
        ("ada", None, "the author None, signed by the key of 'ada'"),
        ("log", "log", "a transaction signed by a key of role log"),
        ("eve", "eve", "a key that the log does not know"),
    ],
)
def test_an_entry_that_its_signer_may_not_sign_is_found(
    by: str | None, author: str | None, found: str, log: Log, verify: Verify
) -> None:
    log.add(by, author=author)
    report = verify(log)
    assert wheres(report) == ["entry 12, signer"]
    assert found in report.findings[0].found


def test_a_signature_before_the_log_has_a_key_is_found(verify: Verify) -> None:
    log = Log()
    log.add()
    log.begin()
    report = verify(log)
    assert wheres(report) == ["entry 0, signer"]


def test_a_signature_for_another_log_does_not_count(log: Log, verify: Verify) -> None:
    other = Log(origin="example.com/other", entries=log.entries, tips=log.tips)
    log.entries[11] = other.signed(log.entries[11], "ada")
    assert wheres(verify(log)) == ["entry 11, signature"]


# ------------------------------------------------------------------ entries


def changed(log: Log, at: int, **fields: Any) -> Log:
    """The header of entry *at* says something else; ids and chain are made to fit."""
    old = log.entries[at]
    new = entry(attrs.evolve(old.header, **fields), old.previous_leaf)
    log.entries[at] = attrs.evolve(new, public=old.public, signature=old.signature)
    return log.rehashed(at + 1)


FOLLOWER = "entry 5, parent on branch 0"
SIGNATURE = "entry 4, signature"


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"datoms_root": bytes(32)}, [SIGNATURE, FOLLOWER]),
        ({"datoms": 7}, [SIGNATURE, FOLLOWER]),
        ({"metadata": bytes(32)}, [SIGNATURE, FOLLOWER]),
        ({"parent": bytes(32)}, ["entry 4, parent on branch 0", SIGNATURE, FOLLOWER]),
        ({"time": EPOCH}, ["entry 4, time", SIGNATURE, FOLLOWER]),
        ({"author": "bob"}, ["entry 4, signer", FOLLOWER]),
        ({"branch": 4}, [SIGNATURE, FOLLOWER]),
        ({"branch": 5}, ["entry 4, branch", SIGNATURE, FOLLOWER, "entry 7, parent on branch 5"]),
    ],
    ids=str,
)
def test_an_edited_header_is_found_although_all_is_hashed_anew(
    fields: dict[str, Any], found: list[str], log: Log, verify: Verify
) -> None:
    assert wheres(verify(changed(log, 4, **fields))) == found


def test_an_edited_entry_under_the_old_hashes_is_found(log: Log, tmp_path: Path) -> None:
    directory = log.export(tmp_path)
    data = [one.encoded() for one in log.entries]
    data[4] = attrs.evolve(log.entries[4], signature=log.entries[3].signature).encoded()
    (directory / "tile/entries/000.p/12").write_bytes(encode_bundle(data))
    assert wheres(verify_export(directory, vkey())) == [
        "tile/0/000.p/12, hash 4",
        "entry 4, signature",
        "entry 5, previous leaf",
        "checkpoint, root",
    ]


ORDERS: list[tuple[str, Callable[[list[bytes]], object], list[str]]] = [
    (
        "deleted",
        lambda data: data.pop(9),
        ["entry 9, previous leaf"],
    ),
    (
        "duplicated",
        lambda data: data.insert(11, data[10]),
        ["entry 11, previous leaf", "entry 11, parent on branch 0"],
    ),
    (
        "swapped",
        lambda data: data.insert(10, data.pop(11)),
        [
            "entry 10, previous leaf",
            "entry 10, parent on branch 0",
            "entry 11, previous leaf",
            "entry 11, time",
            "entry 11, parent on branch 0",
        ],
    ),
    (
        "deleted within a branch",
        lambda data: data.pop(4),
        ["entry 4, previous leaf", "entry 4, parent on branch 0"],
    ),
]


@pytest.mark.parametrize(("change", "found"), [o[1:] for o in ORDERS], ids=[o[0] for o in ORDERS])
def test_entries_in_another_order_are_found_although_the_tree_is_made_anew(
    change: Callable[[list[bytes]], object], found: list[str], log: Log, verify: Verify
) -> None:
    report = verify(log, change=change)
    assert sorted(wheres(report)) == sorted(found)


def test_bytes_that_are_no_entry_are_found(log: Log, verify: Verify) -> None:
    def spoil(data: list[bytes]) -> None:
        data[11] = data[11][:-1]

    report = verify(log, change=spoil)
    assert wheres(report) == ["entry 11"]
    assert "lengths" in report.findings[0].found


def test_an_id_that_is_not_of_its_header_is_found(log: Log, verify: Verify) -> None:
    log.entries[11] = attrs.evolve(log.entries[11], id=bytes(32))
    assert wheres(verify(log)) == ["entry 11, id"]


def test_a_branch_that_begins_after_no_earlier_entry_is_found(log: Log, verify: Verify) -> None:
    later = log.add(branch=6, parent=b"\x07" * 32)
    log.add(branch=7, parent=later.id)
    assert wheres(verify(log)) == ["entry 12, parent"]


def test_a_branch_that_begins_after_itself_is_found(log: Log, verify: Verify) -> None:
    made = log.add()
    log.add(branch=6, parent=made.id)
    assert verify(log).clean
    log.entries[-1], log.entries[-2] = log.entries[-2], log.entries[-1]
    assert "entry 12, parent" in wheres(verify(log.rehashed(12)))


def test_a_branch_that_nothing_before_it_began_is_found(log: Log, verify: Verify) -> None:
    log.add(branch=12)
    assert verify(log).clean
    log.add(branch=14)
    assert wheres(verify(log)) == ["entry 13, branch"]


def test_the_first_entry_has_no_parent(verify: Verify) -> None:
    log = Log()
    log.add("log", event=(ADD, LOG, ORIGIN, public("log"), ()), parent=b"\x07" * 32)
    assert wheres(verify(log)) == ["entry 0, parent"]


def test_a_history_hashed_and_signed_anew_by_another_key_is_found(verify: Verify) -> None:
    forged = Log(first="mallory").begin()
    forged.add()
    assert wheres(verify(forged, by="mallory")) == ["log, key", "checkpoint, signature"]


def test_the_place_of_a_finding_says_what_was_there(log: Log, verify: Verify) -> None:
    report = verify(changed(log, 11, time=EPOCH))
    (time, signature) = report.findings
    assert str(time) == f"entry 11, time: expected at least {EPOCH + 10}, found {EPOCH}"
    assert signature.found == "the signature does not belong to this key and message"


def test_findings_are_kept_within_limits_and_in_order(verify: Verify) -> None:
    log = Log().begin()
    for _ in range(1_100):
        log.add("eve", author="eve" * 100)
    report = verify(log, by="mallory")
    assert len(report.findings) == 1_001
    assert report.omitted == 100
    assert wheres(report)[0] == "entry 2, signer"
    assert wheres(report)[-1] == "checkpoint, signature"
    assert max(len(str(finding)) for finding in report.findings) < 500


# ------------------------------------------------------------------ tiles


@pytest.fixture
def tall(tmp_path: Path) -> Path:
    """The export of a log of three tiles."""
    log = Log()
    for _ in range(2 * TILE + 10):
        log.add(None)
    log.add("log", event=(ADD, LOG, ORIGIN, public("log"), ()))
    return log.export(tmp_path)


@pytest.mark.parametrize(
    ("name", "at", "found"),
    [
        ("tile/0/000", 32 * 7 + 3, ["tile/0/000, hash 7"]),
        ("tile/0/002.p/11", 0, ["tile/0/002.p/11, hash 0"]),
        ("tile/1/000.p/2", 32, ["tile/1/000.p/2, hash 1"]),
    ],
)
def test_an_altered_tile_is_found(tall: Path, name: str, at: int, found: list[str]) -> None:
    data = bytearray((tall / name).read_bytes())
    data[at] ^= 1
    (tall / name).write_bytes(data)
    assert wheres(verify_export(tall, vkey())) == found


@pytest.mark.parametrize("name", ["tile/0/001", "tile/1/000.p/2", "tile/0/002.p/11"])
@pytest.mark.parametrize("cut", [0, 31, None])
def test_a_truncated_or_missing_tile_is_found(tall: Path, name: str, cut: int | None) -> None:
    data = (tall / name).read_bytes()
    (tall / name).unlink()
    if cut is not None:
        (tall / name).write_bytes(data[:cut])
    assert wheres(verify_export(tall, vkey())) == [name]


@pytest.mark.parametrize("name", ["tile/entries/001", "tile/entries/002.p/11"])
@pytest.mark.parametrize("cut", [0, -1, None])
def test_a_truncated_or_missing_bundle_ends_the_reading(
    tall: Path, name: str, cut: int | None
) -> None:
    data = (tall / name).read_bytes()
    (tall / name).unlink()
    if cut is not None:
        (tall / name).write_bytes(data[:cut])
    report = verify_export(tall, vkey())
    assert wheres(report) == [name]
    assert report.counts["transactions"] == TILE * int(name[13:16])


@pytest.mark.parametrize("content", [None, b"", b"\xff", b"a\n1\nb\n", b"x" * (1 << 21)])
def test_a_checkpoint_that_is_none_is_found(tall: Path, content: bytes | None) -> None:
    (tall / "checkpoint").unlink()
    if content is not None:
        (tall / "checkpoint").write_bytes(content)
    assert wheres(verify_export(tall, vkey())) == ["checkpoint"]


# ------------------------------------------------------------------ checkpoints


def test_a_checkpoint_of_another_origin_is_found(log: Log, verify: Verify) -> None:
    said = note.Checkpoint.parse(note.SignedNote.parse(log.checkpoint()).body)
    body = note.Checkpoint("example.com/other", said.size, said.root).body
    text = note.sign(body, "example.com/other", key("log"))
    assert wheres(verify(log, checkpoint=text)) == ["checkpoint, origin"]


def test_a_checkpoint_with_a_wrong_signature_is_found(log: Log, verify: Verify) -> None:
    head, _, _ = log.checkpoint().rpartition("\n\n")
    _, _, lines = log.checkpoint(size=5).rpartition("\n\n")
    report = verify(log, checkpoint=f"{head}\n\n{lines}")
    assert wheres(report) == ["checkpoint, signature"]
    assert "does not hold" in report.findings[0].found


def test_a_root_that_the_entries_do_not_have_is_found(log: Log, tmp_path: Path) -> None:
    directory = log.export(tmp_path)
    body = note.Checkpoint(ORIGIN, 12, bytes(32)).body
    (directory / "checkpoint").write_text(note.sign(body, ORIGIN, key("log")))
    assert wheres(verify_export(directory, vkey())) == ["checkpoint, root"]


@pytest.mark.parametrize("size", [*range(13)])
def test_a_log_goes_on_from_each_earlier_checkpoint(size: int, log: Log, verify: Verify) -> None:
    report = verify(log, remembered=log.checkpoint(size=size))
    assert wheres(report) == (["remembered checkpoint, signature"] if size == 0 else [])


def test_a_cut_tail_is_found_by_who_remembers(log: Log, verify: Verify) -> None:
    remembered = log.checkpoint()
    del log.entries[9:]
    assert verify(log).clean
    report = verify(log, remembered=remembered)
    assert wheres(report) == ["checkpoint, size"]
    assert report.findings[0].expected == "at least 12, as remembered"


@pytest.mark.parametrize("size", [3, 11, 12])
def test_another_history_is_found_by_who_remembers(size: int, log: Log, verify: Verify) -> None:
    remembered = log.checkpoint(size=size)
    fork = Log().begin("bob", "ada")
    while len(fork.entries) < 12:
        fork.add()
    assert verify(fork).clean
    assert wheres(verify(fork, remembered=remembered)) == [f"root at size {size}"]


def test_what_is_remembered_must_be_signed_too(log: Log, verify: Verify) -> None:
    report = verify(log, remembered=log.checkpoint("mallory", 5))
    assert wheres(report) == ["remembered checkpoint, signature"]


def test_keys_that_cannot_be_used_are_misuse(log: Log, tmp_path: Path) -> None:
    witness = VerifierKey(ORIGIN, public("log"), COSIGNATURE)
    with pytest.raises(note.NoteError, match="cosigns as a witness"):
        verify_export(log.export(tmp_path), witness)
    with pytest.raises(note.NoteError, match="not a signed note"):
        verify_export(tmp_path, vkey(), remembered="nothing")


# ------------------------------------------------------------------ anything at all


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    log = rotated()
    for n in range(3):
        log.add("ada2", branch=n)
    directory = log.export(tmp_path_factory.mktemp("sound"), by="log3")
    files = {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }
    return directory, files


@given(st.data())
def test_a_change_of_any_byte_is_found(sound: tuple[Path, dict[str, bytes]], data: Any) -> None:
    directory, files = sound
    name = data.draw(st.sampled_from(sorted(files)))
    content = bytearray(files[name])
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    (directory / name).write_bytes(content)
    try:
        assert not verify_export(directory, vkey()).clean
    finally:
        (directory / name).write_bytes(files[name])


@given(st.data())
def test_files_of_anything_give_findings_and_nothing_else(
    sound: tuple[Path, dict[str, bytes]], data: Any
) -> None:
    directory, files = sound
    name = data.draw(st.sampled_from(sorted(files)))
    (directory / name).write_bytes(data.draw(st.binary(max_size=200)))
    try:
        assert not verify_export(directory, vkey()).clean
    finally:
        (directory / name).write_bytes(files[name])


@settings(max_examples=30)
@given(st.lists(st.binary(max_size=300) | st.integers(0, 8), min_size=1, max_size=20))
def test_entries_of_anything_under_a_sound_checkpoint_give_findings(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes | int]
) -> None:
    log = rotated()
    whole = [one.encoded() for one in log.entries]
    data = [whole[part % len(whole)] if isinstance(part, int) else part for part in parts]
    directory = log.export(
        tmp_path_factory.mktemp("any"),
        by="log3",
        change=lambda entries: entries.__setitem__(slice(None), data),
    )
    report = verify_export(directory, vkey())
    assert report.clean is (data == whole)


def test_a_size_that_no_file_bears_out_takes_no_memory(log: Log, tmp_path: Path) -> None:
    directory = log.export(tmp_path)
    body = note.Checkpoint(ORIGIN, (1 << 63) - 1, bytes(32)).body
    (directory / "checkpoint").write_text(note.sign(body, ORIGIN, key("log")))
    tracemalloc.start()
    try:
        report = verify_export(directory, vkey(), processes=1)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
    assert wheres(report) == ["tile/entries/000"]
