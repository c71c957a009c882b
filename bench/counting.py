"""A process of its own that counts one cell of a store up, for the figures of many processes.

`python -m bench.counting URI ENTITY` opens the store, prints a line, and then, for each number
that it reads, makes so many increments, by `alter` and by `commute` in turns, and prints what it
did as JSON: increments made, bodies run, and errors that the caller of `run` saw.
"""

from __future__ import annotations

import json
import sys

from bench.ours_stm import WAYS
from persistence import Substrate
from persistence.errors import PersistenceError
from persistence.stm import Transaction


def main(uri: str, entity: str) -> None:
    """Count whenever a number comes, until there are no more."""
    e = int(entity)
    ways = (WAYS["alter"], WAYS["commute"])
    with Substrate.open(uri) as substrate:
        print("{}", flush=True)
        for line in sys.stdin:
            made = bodies = errors = 0

            def body(tx: Transaction, turn: int) -> None:
                nonlocal bodies
                bodies += 1
                ways[turn % 2](tx, e)

            for turn in range(int(line)):
                try:
                    substrate.txn.run(body, turn)
                    made += 1
                except PersistenceError:
                    errors += 1
            print(json.dumps({"made": made, "bodies": bodies, "errors": errors}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
