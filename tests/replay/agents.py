"""Random agents: programs of effects, deterministic but for what their effects give them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hypothesis import strategies as st

from persistence import EffectFailed
from persistence.effects import Run, Terminal
from persistence.values import Keyword

NAMES = "[:find [?n ...] :where [_ :item/name ?n]]"

plain_ops = st.one_of(
    st.tuples(st.just("ask"), st.integers(0, 2)),
    st.tuples(st.just("again"), st.integers(2, 3)),
    st.tuples(st.just("fail"), st.sampled_from(["seat", "late"])),
    st.tuples(st.just("draw"), st.sampled_from([0.3, 0.7])),
    st.tuples(st.just("now"), st.none()),
    st.tuples(st.just("model"), st.none()),
)
state_ops = st.one_of(
    st.tuples(st.just("write"), st.integers(0, 3)),
    st.tuples(st.just("read"), st.none()),
    st.tuples(st.just("refused"), st.none()),
)


def programs(*, state: bool, parallel: bool = True) -> st.SearchStrategy[list[Any]]:
    """Programs of up to a dozen effects; with *state* they read and write a store."""
    ops = plain_ops | state_ops if state else plain_ops
    if parallel:
        arms = st.lists(st.lists(plain_ops, max_size=3), min_size=1, max_size=3)
        ops = ops | st.tuples(st.just("arms"), arms)
    return st.lists(ops, max_size=8)


class World:
    """The outside: it gives another answer every time, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def _tell(self, **args: Any) -> int:
        self.asked += 1
        return (self.asked * 7 + len(str(args))) % 5

    def fail(self, kind: str) -> None:
        self.asked += 1
        raise {"seat": KeyError, "late": TimeoutError}[kind](f"{kind} {self.asked}")

    @property
    def tools(self) -> Terminal:
        functions: dict[str, Any] = {
            "tool/ask": self._tell,
            "tool/fail": self.fail,
            "model/chat": self._tell,
        }
        return Terminal("world", functions)


EVERY = ("tool/ask", "tool/fail", "model/chat", "random/draw", "clock/now")


def never(**args: Any) -> None:
    raise AssertionError(f"the outside was reached with {args}")


OUTSIDE = Terminal(
    "outside",
    dict.fromkeys([*EVERY, "db/basis", "db/transact"], never),
)


def agent(program: list[Any]) -> Any:
    """The agent that runs *program*; what it asks depends on what it was told before."""

    def run_it(run: Run) -> Any:
        told: list[Any] = []
        for what, how in program:
            told.append(_do(run, what, how, told))
        return told

    return run_it


def _do(run: Run, what: str, how: Any, told: list[Any]) -> Any:
    if what == "ask":
        return run.perform("tool/ask", about=how, after=_small(told))
    if what == "model":
        return run.perform("model/chat", prompt=[str(each) for each in told])
    if what == "again":
        return [run.perform("tool/ask", about="same") for _ in range(how)]
    if what == "draw":
        draws = [run.random()]
        while draws[-1] < how and len(draws) < 6:
            draws.append(run.random())
        return draws
    if what == "now":
        return run.now()
    if what == "fail":
        try:
            return run.perform("tool/fail", kind=how)
        except EffectFailed as error:
            return [error.kind, error.message]
    if what == "arms":
        return _arms(run, how)
    return _state(run, what, how, told)


def _state(run: Run, what: str, how: Any, told: list[Any]) -> Any:
    if what == "write":
        return sorted(run.transact([{"db/id": "new", "item/name": f"{how} {_small(told)}"}]))
    if what == "refused":
        try:
            return run.transact([["db/cas", 1, "item/name", "never", "x"]])
        except EffectFailed as error:
            return error.kind
    return sorted(run.db().q(NAMES))


def _arms(run: Run, arms: list[Any]) -> list[Any]:
    views = [run.scope(Keyword("arm")) for _ in arms]

    def arm(n: int) -> Any:
        told: list[Any] = []
        for what, how in arms[n]:
            told.append(_do(views[n], what, how, told))
        return told

    with ThreadPoolExecutor(len(arms)) as pool:
        return [*pool.map(arm, range(len(arms)))]


def _small(told: list[Any]) -> str:
    return str(told[-1])[:8] if told else ""
