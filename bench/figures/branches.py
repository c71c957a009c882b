"""What a branch costs: to begin it, on disk, to ask it, and to merge it; and what a fork costs.

A branch is as cheap on a large store as on a small one, and a query on a branch of a branch is
asked beside a main line that holds the same facts.
"""

from __future__ import annotations

import random
from typing import Any

from bench import workload
from bench.figure import OURS, Figure, Must, within
from bench.lab import Lab, Section
from bench.scale import FULL

BEGIN, GROWN = "durable branch, {} datoms", "bytes of a branch, {} datoms"
FORK = "fork of 4 candidates, {} datoms"
MERGE = "merge of 1 000 facts"
QUERIES = ("q1", "q2", "q3", "q4")
REFS, PLAIN = "ours, 4 × 10 refs", "ours, 10 facts"
COMMIT, MAIN = "ours, one commit", "ours, main line"
SMALLEST = "ours, smallest store"

PIECE = 20_000  # people per transaction while loading
FACTS = 3  # of a branch: its name, its parent, and where it begins
FORKED = 1.0  # ms that a fork may take besides the commit of the facts that it keeps
OWN = 100  # one person in so many differs on each branch


def _nested(figure: str) -> str:
    return f"{figure} on a branch of a branch"


def _filled(lab: Lab, size: int) -> Any:
    (store,) = lab.ours_on_file()
    people = list(workload.stream(size // 5))
    for start in range(0, len(people), PIECE):
        store.load_people(people[start : start + PIECE])
    return store


def _within(figure: Figure) -> bool | None:
    return None if figure.ours is None else figure.ours <= FORKED


def _forking(lab: Lab, store: Any, size: int) -> None:
    from bench.ours_branches import committing, forking  # noqa: PLC0415  # an option

    times, facts, people = lab.scale.begun, lab.scale.forked, size // 5
    lab.measure(
        FORK.format(size),
        [forking(store, times, facts, people)],
        Must(f"≤ {FORKED:g} ms besides the one commit", _within),
        base=PLAIN,
        beside=[
            forking(store, times, facts, people, refs=True, name=REFS),
            committing(store, times, facts, people, name=PLAIN),
        ],
    )


def _beginning(lab: Lab) -> None:
    """Branches and forks on stores of growing size."""
    from bench.ours_branches import branching, committing, grown  # noqa: PLC0415  # an option

    smallest: float | None = None
    for size in lab.scale.branched:
        if not any(lab.wants(figure.format(size)) for figure in (BEGIN, GROWN, FORK)):
            continue
        store = _filled(lab, size)
        begun = lab.scale.begun
        lab.measure(
            BEGIN.format(size),
            [branching(store, begun)],
            within(1, "one commit"),
            base=COMMIT,
            beside=[committing(store, begun, FACTS, size // 5, name=COMMIT)],
            note=f"a commit of {FACTS} facts, as many as a branch is made of",
        )
        bytes_ = grown(store, 10 * begun)
        smallest = bytes_ if smallest is None else smallest
        lab.amount(
            GROWN.format(size),
            "bytes",
            {OURS: bytes_, SMALLEST: smallest},
            within(1.1, "the smallest store"),
            base=SMALLEST,
        )
        _forking(lab, store, size)
        lab.close_opened()


def _asking(lab: Lab) -> None:
    from bench.ours_branches import nested, revised  # noqa: PLC0415  # an option

    if not any(lab.wants(_nested(figure)) for figure in QUERIES):
        return
    crowd = workload.people(lab.scale.people)
    (store,), (single,) = lab.ours_on_file(), lab.ours_on_file()
    for each in (store, single):
        each.load_people(crowd)
    db = nested(store, crowd, OWN)
    single.transact(revised(crowd, OWN))
    for figure in QUERIES:
        contenders = [store.asking(figure, db=db), single.asking(figure, name=MAIN)]
        lab.measure(_nested(figure), contenders, within(2, "main line"), base=MAIN)


def _merging(lab: Lab) -> None:
    from bench.ours_branches import merging, transacting  # noqa: PLC0415  # an option

    if not lab.wants(MERGE):
        return
    crowd = workload.people(lab.scale.people)
    stores = [*lab.ours_on_file(), *lab.ours_on_file()]
    for store in stores:
        store.load_people(crowd)
    draw = random.Random(lab.scale.people)
    chosen = [sorted(draw.sample(range(1, len(crowd) + 1), lab.scale.merged)) for _ in range(40)]
    revisions = [[(e, 100_000 + turn) for e in each] for turn, each in enumerate(chosen)]
    contenders: list[Any] = [
        merging(stores[0], revisions),
        transacting(stores[1], revisions, name=COMMIT),
    ]
    lab.measure(MERGE, contenders, within(2, "transacting them"), base=COMMIT)


def measure(lab: Lab) -> None:
    if lab.ours is None:
        return
    _beginning(lab)
    _asking(lab)
    _merging(lab)


SECTION = Section(
    "branches",
    "Branches and forks",
    (
        *(name.format(size) for size in FULL.branched for name in (BEGIN, GROWN, FORK)),
        *(_nested(figure) for figure in QUERIES),
        MERGE,
    ),
    measure,
)
