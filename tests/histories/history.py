"""What clients saw of a store, as data: the only thing that a checker may look at.

A history is the list of operations of Jepsen: every transaction is an invocation and, when its
client lived to see it, a completion. It is kept as EDN, one operation to a line, so that a failing
run can be read, cut down by hand, and judged again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs

from persistence.values import Keyword, Map, Set, read_all, write

TYPES = ("invoke", "ok", "fail", "info")

Key = int | str | Keyword
Mop = tuple[Any, ...]
"""A micro-operation: `("r", key, value)`, `("w", key, value)`, `("append", key, element)`, …"""

# Python finds two of these equal exactly when they are the same EDN value; 1, 1.0 and true are not.
_SIMPLE = (int, str, Keyword, type(None))


class HistoryError(ValueError):
    """The history cannot be judged: it is malformed, or its workload broke a rule it relies on."""


def _checked(value: Any) -> Any:
    if type(value) in _SIMPLE:
        return value
    if type(value) in (tuple, list):
        return tuple([_checked(item) for item in value])
    if type(value) in (Set, set, frozenset):
        return tuple(sorted((_checked(item) for item in value), key=str))
    raise HistoryError(
        f"a history holds ints, strings, keywords, nil and vectors of them, not {value!r}"
    )


def _mops(value: Iterable[Any]) -> tuple[Mop, ...]:
    mops = []
    for mop in value:
        name, *rest = mop
        mops.append((name.name if type(name) is Keyword else name, *map(_checked, rest)))
    return tuple(mops)


@attrs.frozen
class Op:
    """One line of a history. *value* is a tuple of micro-operations.

    *type* is `invoke`, then one of `ok` (it committed), `fail` (it certainly did not) and `info`
    (nobody knows). In an invocation, what a read returns is None. A *process* that is a keyword,
    such as `:nemesis`, tells of the test and not of the store.
    """

    process: int | Keyword
    type: str = attrs.field(validator=attrs.validators.in_(TYPES))
    f: str
    value: tuple[Mop, ...] = attrs.field(converter=_mops)
    time: int = 0
    index: int = 0

    def __str__(self) -> str:
        mops = " ".join(write(_edn_mop(mop)) for mop in self.value)
        return f"#{self.index} by {self.process} [{mops}]"


@attrs.frozen
class Txn:
    """A transaction: its invocation and its completion, if one came.

    *status* is `ok`, `fail` or `info`; an invocation that never completed is `info`. *mops* are
    those of the completion when it is `ok`, else those of the invocation, whose reads are unknown.
    """

    id: int
    invoke: Op
    complete: Op | None

    @property
    def process(self) -> int | Keyword:
        return self.invoke.process

    @property
    def f(self) -> str:
        return self.invoke.f

    @cached_property
    def status(self) -> str:
        return self.complete.type if self.complete else "info"

    @cached_property
    def mops(self) -> tuple[Mop, ...]:
        return self.complete.value if self.complete and self.ok else self.invoke.value

    @property
    def ok(self) -> bool:
        return self.status == "ok"

    @property
    def op(self) -> Op:
        """The line to show to people."""
        return self.complete if self.complete and self.ok else self.invoke

    def __str__(self) -> str:
        return str(self.op)


@attrs.frozen
class History:
    """Operations in the order they happened; their place, not their time, is real time.

    >>> history = parse('''
    ... {:process 0 :type :invoke :f :txn :value [[:append :x 1] [:r :x nil]]}
    ... {:process 0 :type :ok     :f :txn :value [[:append :x 1] [:r :x [1]]]}''')
    >>> history.transactions[0].mops
    (('append', Keyword('x'), 1), ('r', Keyword('x'), (1,)))

    Raises:
        HistoryError: a process has two transactions at once, or completes one it never invoked.
    """

    ops: tuple[Op, ...] = attrs.field(converter=tuple)
    transactions: tuple[Txn, ...] = attrs.field(init=False, eq=False, repr=False)

    @transactions.default
    def _transactions(self) -> tuple[Txn, ...]:
        return tuple(
            Txn(id, invoke, complete) for id, (invoke, complete) in enumerate(_pairs(self.ops))
        )


def _pairs(ops: Iterable[Op]) -> list[tuple[Op, Op | None]]:
    """(invocation, completion) in the order of invocation."""
    pairs: list[tuple[Op, Op | None]] = []
    open_by: dict[int | Keyword, int] = {}
    for place, op in enumerate(ops):
        if op.index != place:
            raise HistoryError(f"operation {place} of the history has the index {op.index}")
        if isinstance(op.process, Keyword):
            continue
        if op.type == "invoke":
            if op.process in open_by:
                raise HistoryError(f"process {op.process} invokes {op} before it completed another")
            open_by[op.process] = len(pairs)
            pairs.append((op, None))
        elif op.process in open_by:
            place_of_pair = open_by.pop(op.process)
            pairs[place_of_pair] = (pairs[place_of_pair][0], op)
        else:
            raise HistoryError(f"process {op.process} completes {op}, which it never invoked")
    return pairs


def parse(text: str) -> History:
    """The history that *text* tells. `:index` and `:time` may be left out where written by hand.

    Raises:
        HistoryError: it is EDN but no history.
        persistence.errors.EdnError: it is not EDN.
    """
    return History(_read_op(form, place) for place, form in enumerate(read_all(text)))


def _read_op(form: Any, place: int) -> Op:
    if not isinstance(form, Map):
        raise HistoryError(f"an operation is a map, not {form!r}")
    got = {key.name: value for key, value in form.items()}
    missing = {"process", "type", "f"} - got.keys()
    if missing:
        raise HistoryError(f"operation {place} has no {', '.join(sorted(missing))}")
    return Op(
        got["process"],
        got["type"].name,
        got["f"].name,
        got.get("value") or (),
        got.get("time", place),
        got.get("index", place),
    )


def lines(ops: Iterable[Op]) -> Iterator[str]:
    """Each operation as one line of EDN, as Jepsen writes it."""
    for op in ops:
        fields = {
            "index": op.index,
            "process": op.process,
            "type": Keyword(op.type),
            "f": Keyword(op.f),
            "value": [_edn_mop(mop) for mop in op.value],
            "time": op.time,
        }
        # `write` would order the map for machines; a person looks for who did what.
        yield "{" + " ".join(f":{name} {write(value)}" for name, value in fields.items()) + "}"


def _edn_mop(mop: Mop) -> list[Any]:
    return [Keyword(mop[0]), *mop[1:]]


def dump(history: History, path: Path) -> None:
    """Writes *history* to *path*, one operation to a line."""
    path.write_text("".join(f"{line}\n" for line in lines(history.ops)), encoding="utf-8")


def load(path: Path) -> History:
    """The history at *path*; `load` after `dump` is the same history."""
    return parse(path.read_text(encoding="utf-8"))
