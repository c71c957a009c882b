"""Runs a program of a plan in a process of its own, with limits on what it may take.

The limits hold back programs that are wrong: that never end, or take all memory. They do not hold
back programs that mean harm, which may read whatever this user may read, and reach the network.
docs/plans.md says so at length.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from persistence.effects import Call
from persistence.errors import EffectFailed, EffectTimedOut
from persistence.plans import code_child
from persistence.values import Keyword, List, Map, Symbol, Value, freeze

__all__ = ["run_code"]

RESULT_BYTES: Final = 4 * 1024 * 1024  # bytes of a result: a quarter of what a value may have
_WORDS: Final = 16 * 1024  # bytes of what a program may write to its standard error and be heard
_CHUNK: Final = 65_536
_MOMENT: Final = 0.01  # seconds between two looks at a child that says nothing
_TEXTS: Final = (str, Keyword, Symbol)


def run_code(call: Call) -> Value:
    """The value that the program of *call* gives the name `result`.

    Raises:
        EffectTimedOut: it took longer than it may.
        EffectFailed: it failed, took too much, or gave what is no value; `kind` is "CodeFailed".
    """
    args = call.args
    request = {
        "source": args["source"],
        "input": {key.name: _plain(value, key.name) for key, value in args["input"].items()},
        "seconds": args["seconds"],
        "memory": args["memory-mb"] * 1024 * 1024,
        "result": RESULT_BYTES,
    }
    with tempfile.TemporaryDirectory(prefix="persistence-code-") as place:
        asked = Path(place, "request.json")
        asked.write_text(json.dumps(request), encoding="utf-8")
        with asked.open("rb") as stdin:
            asked.unlink()
            status, out, words = _ran(stdin, place, float(args["seconds"]))
    return _value(status, out, words, call)


def _ran(stdin: Any, place: str, seconds: float) -> tuple[int | None, bytes, bytes]:
    """The exit status of the child, None if its time was up, and what it wrote."""
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-X", "utf8", code_child.__file__],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=place,
        env={},
        start_new_session=True,  # a process group of its own, which is killed as one
    )
    try:
        in_time, out, words = _heard(child, time.monotonic() + seconds)
    finally:
        _kill(child)
    return child.returncode if in_time else None, out, words


def _heard(child: subprocess.Popen[bytes], until: float) -> tuple[bool, bytes, bytes]:
    """Whether the child ended in time, and what it wrote until then, or until it was too much."""
    assert child.stdout is not None and child.stderr is not None
    out, words = bytearray(), bytearray()
    pipes: dict[Any, tuple[bytearray, int]] = {
        child.stdout: (out, RESULT_BYTES),
        child.stderr: (words, _WORDS),
    }
    with selectors.DefaultSelector() as selector:
        for pipe in pipes:
            selector.register(pipe, selectors.EVENT_READ)
        while time.monotonic() < until and len(out) <= RESULT_BYTES:
            ready = selector.select(_MOMENT)
            for key, _ in ready:
                held, most = pipes[key.fileobj]
                chunk = os.read(key.fd, _CHUNK)
                held += chunk[: max(most + 1 - len(held), 0)]
                if not chunk:
                    selector.unregister(key.fileobj)
            if not ready and _has_ended(child):  # what it started may hold the pipes open
                return True, bytes(out), bytes(words)
    return len(out) > RESULT_BYTES, bytes(out), bytes(words)


def _has_ended(child: subprocess.Popen[bytes]) -> bool:
    """Whether the child has ended; it is not waited for yet, so its number stays its own."""
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _kill(child: subprocess.Popen[bytes]) -> None:
    """Ends the child and all that it started in its group."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    child.wait()
    for pipe in (child.stdout, child.stderr):
        if pipe is not None:
            pipe.close()


def _value(status: int | None, out: bytes, words: bytes, call: Call) -> Value:
    said = words.decode("utf-8", "replace").strip()[-2_000:]
    if len(out) > RESULT_BYTES:
        raise _failed(f"its result has more than {RESULT_BYTES} bytes", "give a part of it only")
    if status is None or status == -signal.SIGXCPU:
        raise EffectTimedOut(
            f"the program took longer than {call.args['seconds']} s",
            hint="give it more :seconds, or less to do",
            seconds=call.args["seconds"],
        )
    if status != 0:
        ended = f"signal {-status}" if status < 0 else f"status {status}"
        raise _failed(said or f"it ended with {ended}", "read what it says, and mend the source")
    try:
        return freeze(json.loads(out))
    except (ValueError, RecursionError) as error:
        raise _failed(f"its result cannot be read: {error}", "give plain data") from None


def _failed(reason: str, fix: str) -> EffectFailed:
    return EffectFailed(reason, hint=fix, kind="CodeFailed")


def _plain(value: Value, place: str) -> Any:
    """*value* as JSON has it: names become texts, all else that JSON lacks is refused."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) in (Keyword, Symbol):
        return value.name
    if type(value) in (tuple, List):
        return [_plain(item, f"{place}[{i}]") for i, item in enumerate(value)]
    if type(value) is Map and all(type(key) in _TEXTS for key in value):
        named = {key if type(key) is str else key.name: item for key, item in value.items()}
        if len(named) == len(value):
            return {name: _plain(item, f"{place}[{name}]") for name, item in named.items()}
    kind = type(value).__name__
    raise _failed(
        f"a program cannot be given the {kind} at {place}",
        "bind numbers, texts, vectors, and maps with names as keys",
    )
