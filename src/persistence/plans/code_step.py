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

_RESULT: Final = 4 * 1024 * 1024  # bytes of a result: a quarter of what a value may have
_WORDS: Final = 16 * 1024  # bytes of what a program may write to its standard error and be heard
_CHUNK: Final = 65_536
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
        "result": _RESULT,
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
        out, words = _heard(child, time.monotonic() + seconds)
        try:
            status: int | None = child.wait(0 if out is None else 1)
        except subprocess.TimeoutExpired:
            status = None
    finally:
        _kill(child)
    return (None if out is None else status), out or b"", words


def _heard(child: subprocess.Popen[bytes], until: float) -> tuple[bytes | None, bytes]:
    """What the child writes until it closes both pipes; None for the first if time was up."""
    assert child.stdout is not None and child.stderr is not None
    heard = {child.stdout: bytearray(), child.stderr: bytearray()}
    most = {child.stdout: _RESULT, child.stderr: _WORDS}
    with selectors.DefaultSelector() as selector:
        for pipe in heard:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            left = until - time.monotonic()
            ready = selector.select(max(left, 0))
            if left <= 0:
                return None, bytes(heard[child.stderr])
            for key, _ in ready:
                source: Any = key.fileobj
                chunk = os.read(source.fileno(), _CHUNK)
                if not chunk:
                    selector.unregister(source)
                heard[source] += chunk[: max(most[source] + 1 - len(heard[source]), 0)]
                if len(heard[child.stdout]) > _RESULT:
                    return bytes(heard[child.stdout]), bytes(heard[child.stderr])
    return bytes(heard[child.stdout]), bytes(heard[child.stderr])


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
    if status is None or status == -signal.SIGXCPU:
        raise EffectTimedOut(
            f"the program took longer than {call.args['seconds']} s",
            hint="give it more :seconds, or less to do",
            seconds=call.args["seconds"],
        )
    if len(out) > _RESULT:
        raise _failed(f"its result has more than {_RESULT} bytes", "give a part of it only")
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
