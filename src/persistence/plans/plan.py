"""A plan as a value: its steps, all of them checked, and what can be asked and made of it."""

from __future__ import annotations

import html
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn, final

from persistence.effects import Run
from persistence.plans import diff as differing
from persistence.plans import edit as editing
from persistence.plans.diff import Change
from persistence.plans.node import Node, text, walk
from persistence.plans.parse import node_of
from persistence.plans.paths import at
from persistence.plans.printing import pretty
from persistence.plans.problems import Path, Problem
from persistence.plans.running import Player, Ran, Settings, Tools, bindings
from persistence.suggestions import meant
from persistence.values import Keyword, Symbol, Value, keyword

__all__ = ["Plan"]


@final
class Plan:
    """An immutable plan, made of its text, of its form or of a `Node`.

    >>> plan = Plan("[:seq {} [:tool-call {:tool :tool/search :args {:query $}}]]")
    >>> plan.at((0,)).get("tool")
    Keyword('tool/search')
    >>> Plan(str(plan)) == plan
    True

    Raises:
        PlanError: it is no plan; `problems` lists path, reason and fix of each.
        LimitExceeded: it nests deeper than 1 000 levels or holds more than 100 000 steps.
    """

    __slots__ = ("root",)

    root: Node

    def __init__(self, source: str | Node | Plan | Sequence[Any]) -> None:
        root = source.root if isinstance(source, Plan) else node_of(source)
        object.__setattr__(self, "root", root)

    @property
    def id(self) -> bytes:
        """The 32 bytes that name the plan: equal plans have equal ids, and others have not.

        >>> Plan('[:seq {:id ":x"}]').id == Plan('[:seq {:doc ":x"}]').id
        False
        """
        return self.root.id

    @property
    def size(self) -> int:
        """How many steps there are.

        >>> Plan("[:seq {} [:seq {}]]").size
        2
        """
        return self.root.size

    @property
    def params(self) -> tuple[Symbol, ...]:
        """The names that a run must give values to.

        >>> Plan("[:ref {:name city :params [city]}]").params
        (Symbol('city'),)
        """
        return tuple(self.root.get("params", ()))

    def at(self, path: Sequence[int]) -> Node:
        """The step at *path*; `()` is the root.

        >>> str(Plan("[:par {} [:seq {}] [:seq {}]]").at((1,)).tag)
        ':seq'

        Raises:
            PlanError: there is none.
        """
        return at(self.root, path)

    def walk(self) -> Iterator[tuple[Path, Node]]:
        """Every step with its path, in the order of the text.

        >>> [path for path, step in Plan("[:par {} [:seq {}] [:seq {}]]").walk()]
        [(), (0,), (1,)]
        """
        return walk(self.root)

    def find(self, label: str) -> list[Path]:
        """The paths of the steps whose `:id` is *label*.

        >>> Plan('[:par {} [:seq {}] [:seq {:id "late"}]]').find("late")
        [(1,)]
        """
        return [path for path, node in walk(self.root) if node.get("id") == label]

    def edit(
        self, path: Sequence[int], change: editing.Change, *, done: Collection[Path] = ()
    ) -> Plan:
        """The plan in which the step at *path* is another: a step, its text, or what a function
        makes of the step that is there. Steps that are *done* are not to be touched.

        >>> plan = Plan("[:seq {} [:seq {}] [:seq {}]]")
        >>> print(plan.edit((1,), lambda step: step.having(id="second")))
        [:seq {} [:seq {}] [:seq {:id "second"}]]
        >>> plan.edit((0,), "[:seq {}]", done=[(0,)])
        Traceback (most recent call last):
        ...
        persistence.errors.PlanError: this edit cannot be made: at [0]: the step at [0] has run; ...

        Raises:
            PlanError: no such step, the result is no plan, or the step is done.
        """
        return Plan(editing.edit(self.root, path, change, done=done))

    def insert_before(
        self, path: Sequence[int], step: str | Node, *, done: Collection[Path] = ()
    ) -> Plan:
        """The plan with *step* in front of the one at *path*.

        >>> print(Plan("[:seq {} [:seq {}]]").insert_before((0,), '[:checkpoint {:name "a"}]'))
        [:seq {} [:checkpoint {:name "a"}] [:seq {}]]

        Raises:
            PlanError: no such step, the result is no plan, or a step that would move is done.
        """
        return Plan(editing.insert_before(self.root, path, step, done=done))

    def insert_after(
        self, path: Sequence[int], step: str | Node, *, done: Collection[Path] = ()
    ) -> Plan:
        """The plan with *step* behind the one at *path*.

        >>> print(Plan("[:seq {} [:seq {}]]").insert_after((0,), '[:checkpoint {:name "a"}]'))
        [:seq {} [:seq {}] [:checkpoint {:name "a"}]]

        Raises:
            PlanError: no such step, the result is no plan, or a step that would move is done.
        """
        return Plan(editing.insert_after(self.root, path, step, done=done))

    def delete(self, path: Sequence[int], *, done: Collection[Path] = ()) -> Plan:
        """The plan without the step at *path*.

        >>> print(Plan('[:seq {} [:seq {}] [:checkpoint {:name "a"}]]').delete((0,)))
        [:seq {} [:checkpoint {:name "a"}]]

        Raises:
            PlanError: no such step, the result is no plan, or a step that would go or move is done.
        """
        return Plan(editing.delete(self.root, path, done=done))

    def diff(self, other: Plan) -> list[Change]:
        """The changes that turn this plan into *other*.

        >>> one = Plan("[:seq {} [:seq {}]]")
        >>> [str(change) for change in one.diff(one.delete((0,)))]
        ['delete [0]']
        """
        return differing.diff(self.root, other.root)

    def apply(self, changes: Iterable[Change], *, done: Collection[Path] = ()) -> Plan:
        """The plan that *changes* make of this one, all of them or none.

        >>> one, other = Plan("[:seq {} [:seq {}]]"), Plan('[:seq {:id "x"}]')
        >>> one.apply(one.diff(other)) == other
        True

        Raises:
            PlanError: a change finds no step, the result is no plan, or a step is done.
        """
        return Plan(differing.apply(self.root, changes, done=done))

    def tools(self) -> list[Keyword]:
        """The tools it calls, each once, in order.

        >>> Plan("[:seq {} [:tool-call {:tool :tool/a}] [:tool-call {:tool :tool/a}]]").tools()
        [Keyword('tool/a')]
        """
        called = (node.get("tool") for _, node in walk(self.root))
        return list(dict.fromkeys(tool for tool in called if tool is not None))

    def unknown(self, tools: Iterable[Keyword | str]) -> list[Problem]:
        """A problem for every call of a tool that is not among *tools*.

        >>> plan = Plan("[:seq {} [:tool-call {:tool :tool/serach}]]")
        >>> print(*plan.unknown(["tool/search"]))
        at [0]: there is no tool :tool/serach; did you mean :tool/search?
        """
        known = [keyword(tool) for tool in tools]
        names = [str(tool) for tool in known]
        others = f"there are {' '.join(names)}" if names else "give the run a tool of that name"
        return [
            Problem(path, f"there is no tool {tool}", meant(str(tool), names) or others)
            for path, node in walk(self.root)
            if (tool := node.get("tool")) is not None and tool not in known
        ]

    def run(
        self,
        tools: Tools = (),
        *,
        params: Mapping[str, Any] | None = None,
        name: str = "plan",
        **settings: Any,
    ) -> Ran:
        """Runs the plan, keeping the record in memory; `s.plan.run` keeps it in a store.

        *tools* are functions by name, or handlers, outermost first; *params* are the values of
        the names in `:params`. Settings, by name:

        ``stop``      a function of a step's path, asked before every step; true stops the run
        ``skills``    plans by name, or a function that finds them
        ``specs``     a function of a spec's name and a value, which raises if it does not conform
        ``executor``  whose threads run arms, by default new ones
        ``handlers``  handlers around those of *tools*

        >>> plan = Plan("[:seq {:params [n]} [:tool-call {:tool :double :args {:n n}}]]")
        >>> plan.run({"double": lambda n: 2 * n}, params={"n": 4}).value
        8

        Raises:
            PlanError: nothing performs a step's effect, or a value of *params* is missing;
                nothing was done.
            PlanStopped: *stop* said so.
            EffectError: an effect, or a condition, failed; `path` in its data names the step.
        """
        player = Player.of(self.root, tools, Settings(**settings))
        bound = bindings(self.root, params)
        player.check()
        return player.play(Run(name, player.handlers), bound)

    def play(self, run: Run, *, params: Mapping[str, Any] | None = None, **settings: Any) -> Value:
        """The value of the plan, run as a part of *run*: of an agent's own, or of a replay.

        Settings are those of :meth:`run`; tools are the handlers of *run*.

        >>> from persistence.effects import Run, Terminal
        >>> with Run("agent", [Terminal("tools", {"roll": lambda: 4})]) as run:
        ...     Plan("[:tool-call {:tool :roll}]").play(run)
        4

        Raises:
            UnhandledEffect: nothing performs one of its effects.
            PlanError, PlanStopped, EffectError: as :meth:`run`.
        """
        player = Player.of(self.root, (), Settings(**settings))
        return player.join(run, bindings(self.root, params))

    def text(self, *, width: int | None = None) -> str:
        """The plan in one line, or, with a *width*, in as many as it takes.

        >>> print(Plan("[:seq {} [:seq {}] [:seq {}]]").text(width=20))
        [:seq {}
         [:seq {}]
         [:seq {}]]
        """
        return text(self.root) if width is None else pretty(self.root, width=width)

    def __str__(self) -> str:
        return text(self.root)

    def __repr__(self) -> str:
        return f"Plan({text(self.root)!r})"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(pretty(self.root))}</pre>"

    def __eq__(self, other: object) -> bool:
        return type(other) is Plan and self.root == other.root

    def __hash__(self) -> int:
        return hash((Plan, self.root))

    def __setattr__(self, name: str, value: Value) -> NoReturn:
        raise AttributeError("a Plan cannot be changed; its edits give another")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a Plan cannot be changed; its edits give another")

    def __copy__(self) -> Plan:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Plan:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Plan, (self.root,)
