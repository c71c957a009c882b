"""Where a run happens: its sizes, its temporary room, its peers, and the figures so far."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import attrs
from rich.console import Console
from rich.progress import Progress

from bench import profiling, timing
from bench.figure import FLOOR, OURS, Figure, Must
from bench.peers import COZO_ABSENT, available
from bench.peers.cozo import Cozo
from bench.scale import Scale
from bench.timing import Contender, Disagreement, Spread


class Closes(Protocol):
    """Anything a section opens; the lab closes it when the section ends."""

    def close(self) -> None: ...


@attrs.frozen
class Section:
    """A group of figures over one set-up: its name for `--only`, its title, what measures it."""

    name: str
    title: str
    figures: tuple[str, ...]
    measure: Callable[[Lab], None]

    def chosen(self, only: frozenset[str]) -> bool:
        return not only or self.name in only or not only.isdisjoint(self.figures)


@attrs.define
class Lab:
    """The run. Sections call `measure`; `figures`, `skipped` and `failed` are the outcome."""

    scale: Scale
    room: Path
    console: Console
    progress: Progress
    only: frozenset[str] = frozenset()
    ours: Any = None  # the class of our own stores; None measures floors and peers only
    figures: list[Figure] = attrs.field(factory=list)
    facts: dict[str, str] = attrs.field(factory=dict)
    skipped: dict[str, str] = attrs.field(factory=dict)
    failed: dict[str, str] = attrs.field(factory=dict)
    _section: Section | None = None
    _opened: list[Closes] = attrs.field(factory=list)
    _files: int = 0

    def run(self, sections: Iterable[Section]) -> None:
        """Measure the chosen *sections*; one that breaks is named and the next goes on."""
        chosen = [section for section in sections if section.chosen(self.only)]
        task = self.progress.add_task("bench", total=len(chosen))
        for section in chosen:
            self.progress.update(task, description=section.title)
            with self._within(section):
                section.measure(self)
            self.progress.advance(task)

    def file(self) -> Path:
        """A path in the temporary room that nothing has used yet."""
        self._files += 1
        return self.room / f"store{self._files}.db"

    def open(self, thing: Any) -> Any:
        """*thing*, to be closed at the end of the section."""
        self._opened.append(thing)
        return thing

    def ours_on_file(self, **options: Any) -> list[Any]:
        """Our own store on a new file, or nothing when only floors and peers are measured."""
        return [] if self.ours is None else [self.open(self.ours(self.file(), **options))]

    def peers(self) -> list[Any]:
        """Fresh peers that run here; the absent ones are skipped with the reason."""
        return [self.open(peer) for peer in available(self.skip)]

    def cozo(self, kind: type[Cozo] = Cozo, *, memory: bool = False) -> list[Cozo]:
        """A CozoDB on a new SQLite file or in memory, or nothing where it is not installed."""
        try:
            return [self.open(kind(None if memory else self.file()))]
        except ImportError:
            self.skip("CozoDB", COZO_ABSENT)
            return []

    def close_opened(self) -> None:
        """Close what `open` was given so far, newest first."""
        while self._opened:
            self._opened.pop().close()

    def wants(self, figure: str) -> bool:
        section = self._current()
        return not self.only or section.name in self.only or figure in self.only

    def skip(self, what: str, why: str) -> None:
        """Say once that *what* is left out, and why."""
        if what not in self.skipped:
            self.skipped[what] = why
            self.console.print(f"[yellow]skipped[/] {what}: {why}")

    def measure(
        self,
        figure: str,
        contenders: Sequence[Contender],
        must: Must | None = None,
        *,
        base: str = FLOOR,
        beside: Sequence[Contender] = (),
        unit: str = "ms",
        slow: bool = False,
        note: str = "",
    ) -> Figure | None:
        """Race *contenders*, whose answers must agree; those *beside* them are only timed.

        A unit that ends in `/s` turns times per operation into rates.
        """
        if not self.wants(figure) or not contenders:
            return None
        rounds = self.scale.slow_rounds if slow else self.scale.rounds
        task = self.progress.add_task(f"  {figure}", total=rounds)
        try:
            values = timing.race(
                figure, contenders, rounds, lambda: self.progress.advance(task), beside=beside
            )
        except Disagreement as problem:
            self._fail(figure, str(problem))
            return None
        finally:
            self.progress.remove_task(task)
        if unit.endswith("/s"):
            values = {name: spread.rate() for name, spread in values.items()}
        result = Figure(self._current().title, figure, unit, values, must, base, note)
        mine = next((c for c in contenders if c.name == OURS), None)
        return self.record(result, mine)

    def record(self, figure: Figure, contender: Contender | None = None) -> Figure:
        """Keep *figure*; where it is missed, with the profile of *contender*."""
        if figure.met is False and contender is not None:
            figure = attrs.evolve(figure, profile=profiling.profile(contender))
        self.figures.append(figure)
        self.console.print(_line(figure))
        return figure

    def amount(
        self,
        figure: str,
        unit: str,
        values: dict[str, float],
        must: Must | None = None,
        *,
        base: str = FLOOR,
    ) -> Figure | None:
        """Keep a figure that is read once, such as a size."""
        if not self.wants(figure):
            return None
        spreads = {name: Spread(value, value, value, 1) for name, value in values.items()}
        return self.record(Figure(self._current().title, figure, unit, spreads, must, base))

    def _current(self) -> Section:
        assert self._section is not None, "figures belong to a section"
        return self._section

    def _fail(self, what: str, why: str) -> None:
        self.failed[what] = why
        self.console.print(f"[red]failed[/] {what}: {why}")

    @contextmanager
    def _within(self, section: Section) -> Iterator[None]:
        self._section = section
        try:
            yield
        except Exception as problem:  # one broken section must not cost the others' figures
            self.console.print(traceback.format_exc(), markup=False, highlight=False)
            self._fail(section.name, f"{type(problem).__name__}: {problem}")
        finally:
            self.close_opened()
            self._section = None


def _line(figure: Figure) -> str:
    verdict = {True: "[green]met[/]", False: "[red]missed[/]", None: ""}[figure.met]
    values = ", ".join(f"{name} {spread.median:.4g}" for name, spread in figure.values.items())
    ratio = f" · ratio {figure.ratio:.2f}" if figure.ratio is not None else ""
    return f"{figure.name}: {values} {figure.unit}{ratio} {verdict}"
