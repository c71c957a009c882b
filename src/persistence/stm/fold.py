"""One step after the other over items: each on top of those before, a marker after each.

A step is a nested transaction, so a prefix of the steps can be kept and the rest thrown away. A
fold with a checkpoint commits its prefix every so many items together with its own position and
state; called again, in another process too, it goes on after the last checkpoint, and the facts
of an item are written exactly once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias

import attrs

from persistence.db import Db
from persistence.errors import ForkError
from persistence.stm.trial import finite
from persistence.stm.workspace import Workspace
from persistence.values import Keyword, freeze

Step: TypeAlias = Callable[[Any, Any, Any], Any]
Pick: TypeAlias = "Callable[[Sequence[Marker]], Marker | None]"

_NAME: Final = Keyword("fold/name")
_POSITION: Final = Keyword("fold/position")
_STATE: Final = Keyword("fold/state")
DECLARATIONS: Final = ({":db/ident": _NAME, ":db/unique": Keyword("db.unique/identity")},)


@attrs.frozen(eq=False)
class Marker:
    """A fold after some of its items: how many, what it has come to, and its score."""

    position: int
    value: Any
    score: float | None = None
    transaction: Workspace | None = attrs.field(default=None, repr=False)

    @property
    def db(self) -> Db | None:
        """The database after these items; None in a fold that keeps every item."""
        return None if self.transaction is None else self.transaction.value()


@attrs.frozen(eq=False)
class Folded:
    """What a fold came to: its value, after how many items, and the markers, where some prefix
    was to be chosen."""

    value: Any
    position: int
    markers: tuple[Marker, ...] = ()


def fold(
    parent: Workspace,
    items: Iterable[Any],
    step: Step,
    *,
    initial: Any = None,
    score: Callable[[Marker], float] | None = None,
    choose: Pick | None = None,
) -> Folded:
    """See :meth:`Transaction.fold`."""
    if score is None and choose is None:
        return _whole(parent, items, step, initial)
    child = parent.child()
    markers = [Marker(0, initial, None, child)]
    value = initial
    for position, item in enumerate(items, start=1):
        child = child.child()
        value = step(child, value, item)
        marker = Marker(position, value, None, child)
        markers.append(marker if score is None else _scored(marker, score))
    kept = _chosen(markers, choose or _best)
    for marker in markers:
        assert marker.transaction is not None
        marker.transaction.close()
    assert kept.transaction is not None
    kept.transaction.merge_into(parent)
    parent.state = parent.state.copy()  # the marker goes on showing what it is a marker of
    return Folded(kept.value, kept.position, tuple(markers))


def _whole(parent: Workspace, items: Iterable[Any], step: Step, value: Any) -> Folded:
    """Every item, in one child: nothing of it can be kept alone."""
    child, position = parent.child(), 0
    try:
        for item in items:
            value = step(child, value, item)
            position += 1
    finally:
        child.close()
    child.merge_into(parent)
    return Folded(value, position)


def _scored(marker: Marker, score: Callable[[Marker], float]) -> Marker:
    found = finite(score(marker), f"the prefix of {marker.position} items", marker.position)
    return attrs.evolve(marker, score=found)


def _best(markers: Sequence[Marker]) -> Marker:
    """The prefix with the highest score, the shortest of several; without items, none."""
    return max(markers[1:], key=lambda marker: marker.score or 0.0, default=markers[0])


def _chosen(markers: Sequence[Marker], choose: Pick) -> Marker:
    """
    Raises:
        ForkError: *choose* gives none of the markers.
    """
    chosen = choose(markers)
    if not any(chosen is marker for marker in markers):
        raise ForkError(
            f"the chooser gives {chosen!r:.80}, which is no marker of the fold",
            hint="return one of the markers it is given; markers[0] keeps no item",
            chosen=chosen,
        )
    assert chosen is not None
    return chosen


# ------------------------------------------------------------------------ checkpoints


def resumed(
    run: Callable[[Callable[[Any], tuple[Folded, bool]]], tuple[Folded, bool]],
    items: Iterable[Any],
    step: Step,
    *,
    initial: Any,
    name: Any,
    every: int,
) -> Folded:
    """A fold in transactions of *every* items, each of which *run* carries out and commits."""
    if every < 1:
        raise ForkError(f"a checkpoint every {every} items", hint="let it be at least 1")
    known, held = freeze(name), Items(items)

    def group(transaction: Workspace) -> tuple[Folded, bool]:
        e, position, value = _begun(transaction, known, initial)
        wanted = held.after(position, every)
        if not wanted:
            return Folded(value, position), True
        done = _whole(transaction, wanted, step, value)
        position, value = position + done.position, freeze(done.value)
        transaction.declare(DECLARATIONS)
        facts = {":db/id": e or "fold", _NAME: known, _POSITION: position}
        if value is not None:
            transaction.record([{**facts, _STATE: value}])
        else:
            transaction.record([facts] if e is None else [facts, ["db/retract", e, _STATE]])
        return Folded(value, position), len(wanted) < every

    while True:
        folded, over = run(group)
        if over:
            return folded


def _begun(transaction: Workspace, name: Any, initial: Any) -> tuple[int | None, int, Any]:
    """The checkpoint *name*: its entity, the items that are done, and what they came to."""
    if transaction.db.schema[_NAME].entity is None:
        return None, 0, initial
    e = transaction.db.entid((_NAME, name))
    if e is None:
        return None, 0, initial
    db = transaction.db
    return e, db.get(e, _POSITION), db.get(e, _STATE)


class Items:
    """Items by their position, read once, and held while a transaction may ask for them again."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._iterator: Iterator[Any] = iter(items)
        self._position = 0  # of the first that is held
        self._held: deque[Any] = deque()

    def after(self, position: int, count: int) -> list[Any]:
        """The next *count* items after the first *position*, fewer at the end.

        Raises:
            ForkError: there are fewer than *position*.
        """
        while self._position < position:
            if not self._held and not self._read():
                raise ForkError(
                    f"the checkpoint is after {position} items, and there are {self._position}",
                    hint="fold the same items again, or use another name for a new fold",
                    position=position,
                )
            self._held.popleft()
            self._position += 1
        while len(self._held) < count and self._read():
            pass
        return [*islice(self._held, count)]

    def _read(self) -> bool:
        for item in islice(self._iterator, 1):
            self._held.append(item)
            return True
        return False
