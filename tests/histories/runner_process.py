"""A worker in a process of its own: `python -m tests.histories.runner_process JSON`.

It opens the store, says so, and begins when it is told to. Every operation goes to standard output
as it happens, so that whoever reads that knows all that a killed process had learnt. A life may
be told at which request to die, and how long after its invocation: it then kills itself, as
`kill -9` would, in the middle of whatever it is doing.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable
from itertools import islice

import attrs

from tests.histories.history import Op, lines, parse
from tests.histories.runner_worker import Plan, Worker

READY = "ready\n"


@attrs.frozen(kw_only=True)
class Life:
    """One process: a worker from its request *first* on, until it dies or has no more to ask."""

    uri: str
    plan: Plan
    worker: int
    number: int = 0  # how many lives the worker had before
    first: int = 0
    dies_at: int | None = None
    dies_after: float = 0.0  # seconds after the invocation

    @property
    def process(self) -> int:
        return self.worker + self.plan.workers * self.number

    def argument(self) -> str:
        return json.dumps(attrs.asdict(self))

    @classmethod
    def of(cls, argument: str) -> Life:
        given = json.loads(argument)
        return cls(**{**given, "plan": Plan(**given["plan"])})


def live(life: Life) -> None:
    """What the process does from its start to its end."""
    death = threading.Thread(target=_die, args=(life.dies_after,))
    with life.plan.open(life.uri) as s:
        worker = Worker(s, life.plan, life.process, _tell)
        sys.stdout.write(READY)
        sys.stdout.flush()
        sys.stdin.readline()
        requests = islice(life.plan.requests_of(life.worker), life.first, None)
        for number, (name, request) in enumerate(requests, life.first):
            if number == life.dies_at:
                death.start()
            worker.carry_out(name, request)
        if life.dies_at is not None:
            death.join()


def _die(after: float) -> None:
    time.sleep(after)  # a moment left to chance
    os.kill(os.getpid(), signal.SIGKILL)


def _tell(name: str, op: Op) -> None:
    # One write each: what a killed process has written, the pipe still holds.
    os.write(1, "".join(f"{name} {line}\n" for line in lines([op])).encode())


def heard(told: Iterable[str]) -> dict[str, list[Op]]:
    """The operations of each workload that a process told."""
    text: dict[str, list[str]] = {}
    for line in told:
        name, _, op = line.partition(" ")
        text.setdefault(name, []).append(op)
    return {name: list(parse("".join(ops)).ops) for name, ops in text.items()}


def is_request(line: str) -> bool:
    """Whether a line tells that a request was made."""
    return ":type :invoke" in line and ":f :view" not in line


if __name__ == "__main__":
    live(Life.of(sys.argv[1]))
