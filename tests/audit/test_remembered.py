"""What is remembered of a log only moves forward, whoever writes, and survives them."""

from __future__ import annotations

import multiprocessing
import random
import stat
import tempfile
import threading
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from persistence.audit import note
from persistence.audit.note import NOTE_BYTES, Checkpoint, NoteError
from persistence.audit.remembered import Remembered
from persistence.errors import AuditError, RollbackDetected

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
ORIGIN = "example.com/log"


def signed(size: int, *, root: bytes = b"r" * 32, origin: str = ORIGIN) -> str:
    return note.sign(Checkpoint(origin, size, root).body, origin, KEY)


def cosigned(text: str, witness: str) -> str:
    body = note.SignedNote.parse(text).body
    return note.attach(text, note.cosign(body, witness, KEY, 1))


def files(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (directory / "evidence").iterdir()}


@pytest.fixture
def remembered(tmp_path: Path) -> Remembered:
    return Remembered(tmp_path, ORIGIN)


def test_nothing_is_remembered_at_first(tmp_path: Path) -> None:
    remembered = Remembered(tmp_path / "keys", ORIGIN)
    assert remembered.load() is None and remembered.checkpoint() is None
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize("durable", [True, False])
def test_a_note_comes_back_as_it_was(remembered: Remembered, durable: bool) -> None:
    assert remembered.save(signed(5), durable=durable)
    assert remembered.load() == signed(5)
    assert remembered.checkpoint() == Checkpoint(ORIGIN, 5, b"r" * 32)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("second", [True, False])
def test_it_moves_forward_only(remembered: Remembered, first: bool, second: bool) -> None:
    assert remembered.save(signed(5), durable=first)
    assert not remembered.save(signed(4), durable=second)
    assert remembered.load() == signed(5)
    assert remembered.save(signed(6), durable=second)
    assert remembered.load() == signed(6)


def test_of_one_checkpoint_the_one_with_more_signatures_stays(remembered: Remembered) -> None:
    bare, one = signed(5), cosigned(signed(5), "w.example")
    two = cosigned(one, "v.example")
    assert remembered.save(bare) and remembered.save(one)
    assert not remembered.save(bare)
    assert remembered.save(two, durable=False)
    assert remembered.load() == two


@pytest.mark.parametrize("durable", [True, False])
def test_another_root_for_one_size_is_refused_and_both_notes_are_kept(
    remembered: Remembered, durable: bool
) -> None:
    ours, theirs = signed(5), signed(5, root=b"s" * 32)
    remembered.save(ours, durable=durable)
    with pytest.raises(RollbackDetected, match="its first 5 entries") as caught:
        remembered.save(theirs)
    assert remembered.load() == ours
    assert sorted(files(remembered.directory).values()) == sorted([ours, theirs])
    assert caught.value.data["expected"] == b"r" * 32
    assert caught.value.data["found"] == b"s" * 32
    assert caught.value.data["evidence"] == str(remembered.directory / "evidence")


def test_evidence_is_named_by_size_and_root_and_never_written_over(remembered: Remembered) -> None:
    ours, theirs = signed(7), signed(5, root=b"s" * 32)
    folder = remembered.keep_evidence(ours, theirs)
    assert remembered.keep_evidence(ours, cosigned(ours, "w.example"), "no note") == folder
    names = sorted(name.partition("-")[2] for name in files(remembered.directory))
    digest = sha256(b"no note").hexdigest()[:16]
    assert names == [
        "5-7373737373737373.checkpoint",
        "7-7272727272727272+2.checkpoint",
        "7-7272727272727272.checkpoint",
        f"malformed-{digest}.checkpoint",
    ]
    assert set(files(remembered.directory).values()) == {
        ours,
        theirs,
        cosigned(ours, "w.example"),
        "no note",
    }


def test_several_logs_share_a_directory(tmp_path: Path) -> None:
    logs = [Remembered(tmp_path, f"example.com/{n}") for n in range(3)]
    for size, log in enumerate(logs, 1):
        log.save(signed(size, origin=log.origin))
    assert [log.load() for log in logs] == [
        signed(size, origin=log.origin) for size, log in enumerate(logs, 1)
    ]


def test_a_checkpoint_of_another_log_is_refused(remembered: Remembered) -> None:
    with pytest.raises(AuditError, match=r"of example\.com/other, not of example\.com/log"):
        remembered.save(signed(5, origin="example.com/other"))
    assert remembered.load() is None


def test_what_is_no_checkpoint_is_refused(remembered: Remembered) -> None:
    for text in ("", "no note", note.sign("no checkpoint\n", ORIGIN, KEY)):
        with pytest.raises(NoteError):
            remembered.save(text)
    assert remembered.load() is None


@pytest.mark.parametrize("damage", ["", "\x00" * 300, signed(5)[:-9], "x" * (NOTE_BYTES + 2)])
def test_a_damaged_file_is_an_error_and_not_forgotten(remembered: Remembered, damage: str) -> None:
    remembered.save(signed(5))
    (path,) = remembered.directory.glob("remembered-????????????????")
    path.write_text(damage)
    uses: list[Callable[[], object]] = [remembered.load, lambda: remembered.save(signed(9))]
    for use in uses:
        with pytest.raises(AuditError, match="cannot be read") as caught:
            use()
        assert caught.value.data["path"] == str(path) and caught.value.hint
    assert path.read_text() == damage


def test_a_power_cut_takes_only_what_was_not_durable(remembered: Remembered) -> None:
    remembered.save(signed(5))
    remembered.save(signed(6), durable=False)
    (recent,) = remembered.directory.glob("*.recent")
    recent.write_text("")
    assert remembered.load() == signed(5)
    assert remembered.save(signed(7), durable=False)
    assert remembered.load() == signed(7)


def test_a_crash_while_writing_leaves_what_was_there(remembered: Remembered) -> None:
    remembered.save(signed(5))
    (path,) = remembered.directory.glob("remembered-????????????????")
    path.with_name(f"{path.name}.new").write_text("half of a no")
    assert remembered.load() == signed(5)
    assert remembered.save(signed(6)) and remembered.load() == signed(6)


def test_the_files_are_their_owners_alone(remembered: Remembered) -> None:
    remembered.save(signed(5))
    remembered.save(signed(6), durable=False)
    remembered.keep_evidence(signed(5))
    for path in remembered.directory.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def _save_all(directory: Path, sizes: list[int]) -> None:
    remembered = Remembered(directory, ORIGIN)
    for size in sizes:
        remembered.save(signed(size), durable=size % 7 == 0)


def test_processes_that_save_at_once_do_not_move_it_back(tmp_path: Path) -> None:
    orders = []
    for seed in range(3):
        sizes = list(range(1, 121))
        random.Random(seed).shuffle(sizes)
        orders.append(sizes)
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_save_all, args=(tmp_path, sizes)) for sizes in orders]
    for process in processes:
        process.start()
    remembered, seen = Remembered(tmp_path, ORIGIN), [0]
    while any(process.is_alive() for process in processes):
        checkpoint = remembered.checkpoint()
        seen.append(checkpoint.size if checkpoint else 0)
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert seen == sorted(seen)
    assert remembered.load() == signed(120)


def test_threads_that_save_at_once_do_not_move_it_back(remembered: Remembered) -> None:
    threads = [
        threading.Thread(target=_save_all, args=(remembered.directory, list(range(n, 60, 4))))
        for n in range(1, 5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert remembered.load() == signed(59)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary())
def test_whatever_is_in_the_file_it_is_read_or_an_audit_error(tmp_path: Path, data: bytes) -> None:
    remembered = Remembered(tmp_path, ORIGIN)
    remembered.save(signed(5))
    (path,) = tmp_path.glob("remembered-????????????????")
    path.write_bytes(data)
    with pytest.raises(AuditError):
        remembered.load()
    path.unlink()


class Memory(RuleBasedStateMachine):
    """Against a model of one number: the largest size that was saved."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.remembered = Remembered(self.directory.name, ORIGIN)
        self.largest = 0

    def teardown(self) -> None:
        self.directory.cleanup()

    @rule(size=st.integers(1, 9), durable=st.booleans())
    def save(self, size: int, durable: bool) -> None:
        assert self.remembered.save(signed(size), durable=durable) is (size >= self.largest)
        self.largest = max(self.largest, size)

    @rule(size=st.integers(1, 9))
    def fork(self, size: int) -> None:
        other = signed(size, root=b"s" * 32)
        if size == self.largest:
            with pytest.raises(RollbackDetected):
                self.remembered.save(other)
        elif size < self.largest:
            assert not self.remembered.save(other)

    @invariant()
    def the_largest_is_remembered(self) -> None:
        checkpoint = self.remembered.checkpoint()
        assert (checkpoint.size if checkpoint else 0) == self.largest


TestMemory = Memory.TestCase
