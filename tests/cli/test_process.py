"""The program as a process: exit codes, broken pipes, interruption."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from persistence import Substrate

PROGRAM = (sys.executable, "-m", "persistence.cli")


def call(
    *words: str, cwd: Path, input: bytes = b"", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*PROGRAM, *words],
        cwd=cwd,
        input=input,
        capture_output=True,
        env={**os.environ, "PERSISTENCE_STORE": "shop.db", **environment},
    )


def test_exit_codes(tmp_path: Path) -> None:
    assert call("transact", "-", cwd=tmp_path, input=b"[{:a 1}]").returncode == 0
    assert call("entity", "4711", cwd=tmp_path).returncode == 1
    bad = call("transact", "[", cwd=tmp_path)
    assert bad.returncode == 2 and bad.stderr.startswith(b"error: line 1, column 1")
    assert b"Traceback" not in bad.stderr


def test_a_reader_that_goes_away_is_no_failure(tmp_path: Path) -> None:
    with Substrate.open(tmp_path / "shop.db") as s:
        s.fact.transact([{"n": n} for n in range(100)])
    for flag in ("--json", "--edn", None):
        words = ["q", "[:find ?e ?n :where [?e :n ?n]]", *([flag] if flag else [])]
        with subprocess.Popen(
            [*PROGRAM, *words],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PERSISTENCE_STORE": "shop.db"},
        ) as process:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.close()
            told = process.stderr.read()
        assert process.returncode == 141 and b"Traceback" not in told and b"error" not in told


def until_committed(process: subprocess.Popen[bytes], path: Path, transactions: int) -> None:
    """Returns when *process* has committed so many transactions, and is still at it."""
    for _ in range(3_000):
        with contextlib.suppress(subprocess.TimeoutExpired):
            raise AssertionError(f"the import ended early, with {process.wait(timeout=0.02)}")
        if path.exists() and committed(path) >= transactions:
            return
    raise AssertionError(f"{transactions} transactions were never committed")


def committed(path: Path) -> int:
    """How many transactions a store holds; none while its tables are still being made."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        found = connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'tx'")
        if found.get == 0:
            return 0
        count: int = connection.execute("SELECT count(*) FROM tx").get
        return count
    except apsw.BusyError:
        return 0
    finally:
        connection.close()


def test_an_interrupted_import_is_continued(tmp_path: Path) -> None:
    lines = 60_000
    (tmp_path / "n.jsonl").write_text("".join(f'{{"n": {n}}}\n' for n in range(lines)))
    process = subprocess.Popen(
        [*PROGRAM, "import", "n.jsonl", "--batch", "500"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        env={**os.environ, "PERSISTENCE_STORE": "shop.db"},
    )
    until_committed(process, tmp_path / "shop.db", 3)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate()
    assert process.returncode == 130 and b"error: stopped" in told, told
    assert call("import", "n.jsonl", "--batch", "20000", cwd=tmp_path).returncode == 0
    with Substrate.open(tmp_path / "shop.db") as s:
        assert sorted(s.fact.db().q("[:find [?n ...] :where [_ :n ?n]]")) == list(range(lines))
        assert s.check() == []


def test_a_killed_import_is_continued(tmp_path: Path) -> None:
    lines = 60_000
    (tmp_path / "n.jsonl").write_text("".join(f'{{"n": {n}}}\n' for n in range(lines)))
    process = subprocess.Popen(
        [*PROGRAM, "import", "n.jsonl", "--batch", "500"],
        cwd=tmp_path,
        env={**os.environ, "PERSISTENCE_STORE": "shop.db"},
    )
    until_committed(process, tmp_path / "shop.db", 3)
    process.kill()
    process.wait()
    assert call("import", "n.jsonl", "--batch", "20000", cwd=tmp_path).returncode == 0
    with Substrate.open(tmp_path / "shop.db") as s:
        assert sorted(s.fact.db().q("[:find [?n ...] :where [_ :n ?n]]")) == list(range(lines))


def test_a_fault_of_the_program_is_told_without_a_traceback(tmp_path: Path) -> None:
    code = (
        "from persistence.cli import main\n"
        "main.commands['stats'].callback = lambda *_: 1 / 0\n"
        "main(['stats'])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=tmp_path)
    assert ran.returncode == 70 and b"error: a fault in this program" in ran.stderr
    assert b"Traceback" not in ran.stderr


@pytest.mark.parametrize("module", ["persistence", "persistence.cli"])
def test_importing_needs_no_optional_extra(module: str) -> None:
    code = (
        f"import sys; sys.modules.update(dict.fromkeys(('pyarrow', 'pandas', 'psycopg')));"
        f" import {module}, persistence.frames"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
