"""`python -m tests.histories`: workloads against a real store, for as long as one likes.

    python -m tests.histories --workload all --processes 4 --ops 5000 --kills 10 --backend postgres

Exit code 0 when nothing was found, 1 when something was, 2 when the call is wrong. The same seed
asks for the same; what happens at the same time is up to the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import SystemRandom

from tests.histories.microops import WAYS
from tests.histories.runner import Outcome, run
from tests.histories.runner_cells import ISOLATIONS, READS
from tests.histories.runner_worker import Plan
from tests.histories.workloads import WORKLOADS


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.histories", description=__doc__)
    one = parser.add_argument
    one("--workload", choices=["all", *WORKLOADS], default="all")
    one("--backend", choices=["sqlite", "postgres"], default="sqlite")
    many = parser.add_mutually_exclusive_group()
    many.add_argument("--threads", type=int, help="workers in this process (4)")
    many.add_argument("--processes", type=int, help="workers in processes of their own")
    one("--ops", type=int, default=1_000, help="requests of each workload, over all workers")
    one("--kills", type=int, default=0, help="how often a process is killed")
    one("--isolation", choices=ISOLATIONS, default="serializable")
    one("--way", choices=[*WAYS, "mixed"], default="alter", help="by what values are changed")
    one("--reads", choices=READS, default="refs", help="by what values are read")
    one("--seed", type=int, help="by default another one each time")
    one("--directory", type=Path, help="where histories are kept")
    one("--json", action="store_true", help="one object for each workload, on standard output")
    given = parser.parse_args(words)
    workers = given.processes or given.threads or 4
    if workers < 2 or given.ops < workers:
        parser.error("at least 2 workers are needed, and as many requests")
    if given.kills and not given.processes:
        parser.error("only processes can be killed: give --processes")
    if given.kills > given.ops // workers * workers:
        parser.error("a request can be killed once: there are more kills than requests")
    return given


@contextmanager
def place(backend: str, directory: Path) -> Iterator[str]:
    """The URI of a new store."""
    mark = uuid.uuid4().hex[:12]
    if backend == "sqlite":
        yield str(directory / f"store-{mark}.db")
        return
    with ExitStack() as stack:
        server = os.environ.get("PERSISTENCE_TEST_POSTGRES")
        if server is None:
            from tests import postgres  # noqa: PLC0415  needless, and absent, where a URI is given

            server = stack.enter_context(postgres.server(mark))
        yield f"{server}{'&' if '?' in server else '?'}schema=histories_{mark}"


class Progress:
    """A line of standard error, once a second, that tells how far the run is."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._shown = total, 0, time.monotonic()
        self._lock = threading.Lock()

    def __call__(self, done: int) -> None:
        with self._lock:
            self._done += done
            now = time.monotonic()
            if now - self._shown >= 1.0:
                self._shown = now
                print(f"{self._done} of {self._total} requests", file=sys.stderr, flush=True)


def told(outcome: Outcome) -> dict[str, object]:
    """An outcome for programs."""
    return {
        "workloads": {
            name: {
                **each.statuses,
                "findings": [finding.name for finding in each.findings],
                "history": str(each.path),
            }
            for name, each in outcome.judged.items()
        },
        "seed": outcome.plan.seed,
        "isolation": outcome.plan.isolation,
        "kills": outcome.kills,
        "faults": outcome.faults,
        "seconds": round(outcome.seconds, 2),
    }


def show(outcome: Outcome) -> None:
    """An outcome for people."""
    for name, each in outcome.judged.items():
        counts = ", ".join(f"{n} {status}" for status, n in sorted(each.statuses.items()))
        print(f"{name}: {counts}, {len(each.findings)} findings")
    print(f"{outcome.kills} kills, {len(outcome.faults)} faults, {outcome.seconds:.1f} s")
    if not outcome.clean:
        print(outcome.explained)
    sys.stdout.flush()


def main(words: list[str] | None = None) -> int:
    given = arguments(words)
    workers = given.processes or given.threads or 4
    directory = given.directory or Path(tempfile.mkdtemp(prefix="persistence-histories-"))
    directory.mkdir(parents=True, exist_ok=True)
    plan = Plan(
        workloads=WORKLOADS if given.workload == "all" else (given.workload,),
        workers=workers,
        requests=given.ops // workers,
        seed=SystemRandom().randrange(10**9) if given.seed is None else given.seed,
        way=given.way,
        reads=given.reads,
        isolation=given.isolation,
        kills=given.kills,
    )
    with place(given.backend, directory) as uri:
        progress = Progress(plan.total * workers)
        outcome = run(plan, uri, directory, processes=bool(given.processes), progress=progress)
    if given.json:
        print(json.dumps(told(outcome)), flush=True)
    else:
        show(outcome)
    print(f"seed {plan.seed}, histories in {directory}", file=sys.stderr)
    return 0 if outcome.clean else 1


if __name__ == "__main__":
    sys.exit(main())
