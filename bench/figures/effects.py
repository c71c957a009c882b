"""The agent layer: recorded effects, replays, plans, searches and traces that are imported.

An effect that does nothing is measured, so that what is left is the recording. DBOS records a step
of the same function; its defaults are kept, and both sync every step.
"""

from __future__ import annotations

from bench.figure import OURS, Figure, Must, at_least, at_most
from bench.lab import Lab, Section
from bench.peers.dbos import ABSENT, NAME, Dbos
from bench.timing import Call

MEMORY, STORED = "effect through six handlers, in memory", "effect through six handlers, stored"
AGAINST = "recorded effect, beside DBOS steps"
REPLAY = "no-op replay"
PARSE, PRINT, EDIT = "plan of 1 000 nodes: parse", "plan: print", "plan: edit one step"
CHAIN = "plan: chain of 400 over chain of 200"
SEARCH, SEARCHED = "search, unstored", "search, stored"
GROWN = "search: last tenth over first tenth"
IMPORT, FIDELITY = "importing the 100 runs", "counterfactual fidelity"


def _twice() -> Must:
    def test(figure: Figure) -> bool | None:
        peer = figure.value(NAME)
        return None if figure.ours is None or peer is None else figure.ours >= 2 * peer

    return Must("≥ 2× DBOS", test)


def _effects(lab: Lab) -> None:
    from bench.ours_effects import ANSWER, Effects  # noqa: PLC0415  # floors run without it

    scale = lab.scale
    if lab.wants(MEMORY):
        made = lab.open(Effects(scale.effects))
        lab.measure(MEMORY, [made.running()], at_least(10_000, "/s"), unit="/s")
    if lab.wants(STORED):
        made = lab.open(Effects(scale.effects_stored, lab.file()))
        lab.measure(STORED, [made.running()], at_least(1_000, "/s"), unit="/s")
    if lab.wants(AGAINST):
        times = scale.effects_stored
        ours = lab.open(Effects(times, lab.file(), handlers=lambda: [ANSWER]))
        try:
            peer = lab.open(Dbos(lab.file(), _ask))
        except ImportError:
            lab.skip(NAME, ABSENT)
            return
        theirs = Call(NAME, lambda: peer.run(times), operations=times)
        lab.measure(AGAINST, [ours.running(), theirs], _twice(), base=NAME, unit="/s")
    lab.close_opened()


def _ask(question: str) -> list[str]:
    return [question]


def _replay(lab: Lab) -> None:
    from bench.ours_effects import replaying  # noqa: PLC0415  # as above

    lab.measure(REPLAY, [replaying(lab.scale.replayed)], at_least(20_000, "/s"), unit="/s")


def _plans(lab: Lab) -> None:
    from bench.ours_plans import chains, editing, parsing, printing  # noqa: PLC0415  # as above

    nodes = lab.scale.nodes
    lab.measure(PARSE, [parsing(nodes)], at_most(15, "ms"))
    lab.measure(PRINT, [printing(nodes)], at_most(5, "ms"))
    lab.measure(EDIT, [editing(nodes)], at_most(1, "ms"))
    if lab.wants(CHAIN):
        short, long = chains(200), chains(400)
        short.name = SHORT
        lab.measure(CHAIN, [long], _linear(), base=SHORT, beside=[short])


SHORT = "ours, chain of 200"


def _linear() -> Must:
    """Twice the length in less than three times the time: a square would be four."""

    def test(figure: Figure) -> bool | None:
        return None if figure.ratio is None else figure.ratio <= 3

    return Must("≤ 3× half the length", test)


def _search(lab: Lab) -> None:
    from bench.ours_search import Searching  # noqa: PLC0415  # as above

    times = lab.scale.iterations
    lab.measure(SEARCH, [Searching(times).running()], at_least(2_000, "/s"), unit="/s")
    if lab.wants(SEARCHED):
        stored = lab.open(Searching(times, lab.file()))
        lab.measure(SEARCHED, [stored.running()], at_least(800, "/s"), unit="/s")
    if lab.wants(GROWN):
        first, last = Searching(times).tenths()
        values = {OURS: last, FIRST: first}
        lab.amount(GROWN, "ms", values, _flat(), base=FIRST)
    lab.close_opened()


FIRST = "ours, first tenth"


def _flat() -> Must:
    def test(figure: Figure) -> bool | None:
        return None if figure.ratio is None else figure.ratio <= 1.5

    return Must("≤ 1.5× the first tenth", test)


def _runs(lab: Lab) -> None:
    from bench.ours_runs import absent, fidelity, importing  # noqa: PLC0415  # as above

    why = absent()
    if why is not None:
        lab.skip("the runs of τ-bench", why)
        return
    lab.measure(IMPORT, [importing(lab.file)], at_most(10_000, "ms"), slow=True)
    if lab.wants(FIDELITY):
        held = fidelity()
        lab.facts["counterfactuals"] = (
            f"{held.runs} runs, one observation of each changed; before it as recorded in"
            f" {held.prefix_equal}, after it derived anew in {held.rederived} ({held.steps} steps)"
        )
        lab.amount(FIDELITY, "of the runs", {OURS: held.share}, _all())


def _all() -> Must:
    return Must("every run", lambda f: None if f.ours is None else f.ours == 1)


def measure(lab: Lab) -> None:
    if lab.ours is None:
        return
    if any(lab.wants(each) for each in (MEMORY, STORED, AGAINST)):
        _effects(lab)
    if lab.wants(REPLAY):
        _replay(lab)
    if any(lab.wants(each) for each in (PARSE, PRINT, EDIT, CHAIN)):
        _plans(lab)
    if any(lab.wants(each) for each in (SEARCH, SEARCHED, GROWN)):
        _search(lab)
    if any(lab.wants(each) for each in (IMPORT, FIDELITY)):
        _runs(lab)


SECTION = Section(
    "effects",
    "The agent layer: effects, replays, plans, searches, traces",
    (
        *(MEMORY, STORED, AGAINST, REPLAY, PARSE, PRINT, EDIT, CHAIN),
        *(SEARCH, SEARCHED, GROWN, IMPORT, FIDELITY),
    ),
    measure,
)
