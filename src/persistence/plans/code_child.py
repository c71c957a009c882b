"""The program that runs in the child process of a code step: limits first, then the source.

It is started by its path, without site packages: it can import the standard library and no more,
so the result goes back as JSON. What the source prints goes to standard error.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import traceback
from typing import Any

FILE_BYTES = 16 * 1024 * 1024  # of each file that it writes
_FILES = 32  # open at once


def limit(seconds: float, memory: int) -> None:
    """Sets what this process may take; it cannot be raised again from here on."""
    cpu = int(seconds) + 1
    for what, most in (
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_NOFILE, _FILES),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (least, least))


def main() -> None:
    """Reads the request, runs its source and writes its result."""
    request = json.load(sys.stdin)
    out = os.dup(1)
    os.dup2(2, 1)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    limit(request["seconds"], request["memory"])
    names: dict[str, Any] = {"__name__": "__main__", **request["input"]}
    try:
        exec(compile(request["source"], "<code>", "exec"), names)
    except Exception as error:
        inside = error.__traceback__.tb_next if error.__traceback__ else None
        traceback.print_exception(type(error), error, inside)
        sys.exit(1)
    try:
        result = json.dumps(names.get("result"), default=_unknown).encode()
    except (TypeError, ValueError, RecursionError) as error:
        sys.exit(f"the result is no plain data: {error}")
    if len(result) > request["result"]:
        sys.exit(f"the result has {len(result)} bytes, and at most {request['result']} are taken")
    with os.fdopen(out, "wb") as pipe:
        pipe.write(result)


def _unknown(value: Any) -> Any:
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"it holds {type(value).__name__}")


if __name__ == "__main__":
    main()
