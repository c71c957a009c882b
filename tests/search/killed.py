"""A search that tells before each call how many iterations it knows to be durable; to be killed."""

from __future__ import annotations

import sys
import time

from persistence import Substrate


def steps(n: int) -> list[tuple[str, int]]:
    return [("up", n + 1), ("down", n - 1), ("twice", 2 * n)]


def score(n: int) -> float:
    return -abs(n - 40)


def main() -> None:
    judged = 0

    def slowly(n: int) -> float:
        nonlocal judged
        print(judged, flush=True)  # they took longer than `within`, so all of them are committed
        judged += 1
        time.sleep(0.01)
        return score(n)

    with Substrate.open(sys.argv[1]) as s:
        s.plan.search(1, steps, slowly, budget={"iterations": 100}, within=0.005)


if __name__ == "__main__":
    main()
