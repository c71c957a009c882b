"""Bears writers: a process that has loaded everything and forks one for each order.

Loading the program takes longer than most writers live. One request is one line of JSON on the
standard input, `{"orders": …}`, `{"wait": pid}` or `{"look": pid}`, and one line of JSON answers:
the process id, its exit code, or null while it runs. When the input ends, all writers end too.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.crash.writer import Orders, main


def serve() -> None:
    alive = os.pipe()  # a writer whose end of it is closed is alone in the world
    for line in sys.stdin:
        asked = json.loads(line)
        if "orders" in asked:
            answer = _born(Orders(**asked["orders"]), alive)
        else:
            answer = _ended(asked.get("wait") or asked["look"], wait="wait" in asked)
        print(json.dumps(answer), flush=True)


def _born(orders: Orders, alive: tuple[int, int]) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.close(alive[1])
        os.dup2(alive[0], 0)
        errors = Path(orders.journal).with_suffix(".err")
        os.dup2(os.open(errors, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644), 2)
        main(orders)
        code = 0
    finally:
        os._exit(code)


def _ended(pid: int, *, wait: bool) -> Any:
    ended, status = os.waitpid(pid, 0 if wait else os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


if __name__ == "__main__":
    serve()
