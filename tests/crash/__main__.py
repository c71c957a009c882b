"""All the kills: `python -m tests.crash --backend sqlite --kills 300`."""

from __future__ import annotations

import argparse
import json
import secrets
import signal
import sys
from contextlib import ExitStack
from typing import get_args

from tests.crash.campaign import WAYS, Backend, Campaign, Tally
from tests.crash.servers import Server


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--backend", choices=get_args(Backend), default="sqlite")
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, help="repeats what was left to chance in another run")
    parser.add_argument("--way", action="append", help="only these ways to kill", default=[])
    parser.add_argument("--signed", action="store_true", help="the writers sign the log")
    parser.add_argument("--json", action="store_true", help="print a summary for programs")
    asked = parser.parse_args()
    unknown = {*asked.way} - {*WAYS[asked.backend]}
    if unknown:
        parser.error(f"{asked.backend} knows {', '.join(WAYS[asked.backend])}")
    seed = secrets.randbelow(2**32) if asked.seed is None else asked.seed
    print(f"seed {seed}", file=sys.stderr)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the server is stopped even so
    with ExitStack() as stack:
        server = stack.enter_context(Server()) if asked.backend == "postgres" else None
        ways = tuple(asked.way)
        campaign = Campaign(
            asked.backend, seed, server, ways, asked.signed, told=_progress, warned=_warn
        )
        tally = campaign.run(asked.kills)
    print(file=sys.stderr)
    print(json.dumps(tally.as_data()) if asked.json else _summary(asked.backend, tally))
    return 1 if tally.findings else 0


def _progress(tally: Tally) -> None:
    ways = ", ".join(f"{way} {n}" for way, n in sorted(tally.kills.items()))
    print(
        f"\r{tally.total} kills ({ways}), {len(tally.findings)} findings", end="", file=sys.stderr
    )


def _warn(finding: str) -> None:
    print(f"\n{finding}", file=sys.stderr)


def _summary(backend: str, tally: Tally) -> str:
    lines = [f"{backend}: {tally.total} kills, seed {tally.seed}"]
    lines += [f"  {way:<10} {n}" for way, n in sorted(tally.kills.items())]
    lines += [f"  operations {word}: {n}" for word, n in sorted(tally.operations.items())]
    lines += [f"  {where}: {finding}" for where, finding in tally.findings]
    return "\n".join([*lines, f"{len(tally.findings)} findings"])


if __name__ == "__main__":
    sys.exit(main())
