"""Recorded runs as a file for people: one line of EDN for each step, in an order that is stable.

Times and costs are left out, and so is what follows from the order, so that a file which is made
anew differs only where the runs do.
"""

from __future__ import annotations

import os
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import attrs

from persistence.effects import Step, Trace
from persistence.effects.call import Scope
from persistence.effects.step import BEGUN, DONE, STATUSES
from persistence.effects.trace import FORMAT
from persistence.errors import EdnError, TraceError
from persistence.values import Keyword, Map, encode, read_all, write

VERSION: Final = 1  # of the file; the steps have `FORMAT`, that of traces

_HEAD: Final = ";; Effects that a test recorded; pytest --effects=record records them anew.\n"
_LIMIT: Final = 256 << 20  # bytes; read into memory as a whole

_CASSETTE: Final = Keyword("cassette")
_TRACE: Final = Keyword("trace")
_RUN: Final = Keyword("run")
_ID: Final = Keyword("id")
_STATUS: Final = Keyword("status")
_RESULT: Final = Keyword("result")
_ERROR: Final = Keyword("error")
_KIND: Final = Keyword("kind")
_MESSAGE: Final = Keyword("message")
_OP: Final = Keyword("op")
_ARGS: Final = Keyword("args")
_SCOPE: Final = Keyword("scope")
_PLACE: Final = Keyword("place")
_OCCURRENCE: Final = Keyword("occurrence")


@attrs.frozen
class Cassette:
    """The runs of one test.

    >>> from uuid import UUID
    >>> from persistence.effects import Run, Terminal
    >>> with Run("shop", [Terminal("t", {"tool/find": lambda q: [q]})], id=UUID(int=7)) as run:
    ...     _ = run.perform("tool/find", q="tea")
    >>> print(Cassette((run.trace,)).text)
    ;; Effects that a test recorded; pytest --effects=record records them anew.
    {:trace 1 :cassette 1}
    {:id #uuid "00000000-0000-0000-0000-000000000007" :run "shop" :status :done}
    {:op :tool/find :args {:q "tea"} :result ["tea"]}
    <BLANKLINE>
    """

    runs: tuple[Trace, ...]

    @property
    def text(self) -> str:
        """The file."""
        lines = [write(Map({_CASSETTE: VERSION, _TRACE: FORMAT}))]
        for trace in self.runs:
            lines.append(write(_run_form(trace)))
            lines += map(write, _step_forms(trace))
        return _HEAD + "\n".join(lines) + "\n"

    @classmethod
    def read(cls, text: str, place: str = "the cassette") -> Cassette:
        """The cassette that *text* is; *place* names it in errors.

        Raises:
            TraceError: it is none, or of another version.
        """
        try:
            head, *forms = [*read_all(text)] or [None]
        except EdnError as error:
            raise _damaged(place, str(error)) from error
        if not isinstance(head, Map) or _CASSETTE not in head:
            raise _damaged(place, "its first form is no {:cassette version}")
        if encode((head[_CASSETTE], head.get(_TRACE))) != encode((VERSION, FORMAT)):
            raise TraceError(
                f"{place}: of version {head[_CASSETTE]} with traces of {head.get(_TRACE)}; "
                f"this one reads {VERSION} with {FORMAT}",
                hint="record it anew with pytest --effects=record",
                found=head,
            )
        return cls(tuple(_traces(forms, place)))

    @classmethod
    def load(cls, path: Path) -> Cassette:
        """The cassette in the file *path*.

        Raises:
            TraceError: there is none, or it cannot be read.
        """
        try:
            size = path.stat().st_size
            if size > _LIMIT:
                raise _damaged(str(path), f"it has {size} bytes, and at most {_LIMIT} are read")
            return cls.read(path.read_text("utf-8"), str(path))
        except UnicodeDecodeError as error:
            raise _damaged(str(path), f"it is not UTF-8 text: {error}") from error
        except OSError as error:
            raise _damaged(str(path), error.strerror or str(error)) from error

    def save(self, path: Path) -> None:
        """Writes the file at once: nobody sees half of it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with open(number, "w", encoding="utf-8", newline="\n") as file:
                file.write(self.text)
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise


def _damaged(place: str, why: str) -> TraceError:
    return TraceError(
        f"{place} cannot be read: {why}",
        hint="restore it, or record it anew with pytest --effects=record",
        path=place,
    )


# --------------------------------------------------------------------------- to data


def _run_form(trace: Trace) -> Map:
    form = {_RUN: trace.name, _ID: trace.id, _STATUS: trace.status}
    return _with(form, {_RESULT: trace.result, _ERROR: trace.error})


def _step_forms(trace: Trace) -> Iterable[Map]:
    order = _Order()
    for step in trace.ordered:
        if step.status is BEGUN:
            continue
        place, occurrence = order.next(step.scope, step.asked)
        yield _with(
            {_OP: step.op, _ARGS: step.args},
            {
                _SCOPE: step.scope or None,
                _PLACE: None if step.place == place else step.place,
                _OCCURRENCE: None if step.occurrence == occurrence else step.occurrence,
                _STATUS: None if step.status is DONE else step.status,
                _RESULT: step.result,
                _ERROR: step.error,
            },
        )


def _with(form: Mapping[Keyword, Any], more: Mapping[Keyword, Any]) -> Map:
    return Map({**form, **{name: value for name, value in more.items() if value is not None}})


class _Order:
    """The place and the occurrence that follow from the order of the steps."""

    def __init__(self) -> None:
        self._places: dict[Scope, int] = defaultdict(int)
        self._times: dict[tuple[Scope, bytes], int] = defaultdict(int)

    def next(self, scope: Scope, asked: bytes) -> tuple[int, int]:
        found = self._places[scope], self._times[scope, asked]
        self._places[scope] += 1
        self._times[scope, asked] += 1
        return found


# ------------------------------------------------------------------------- from data


def _traces(forms: Iterable[Any], place: str) -> Iterable[Trace]:
    runs: list[tuple[Map, list[Step]]] = []
    order = _Order()
    for n, form in enumerate(forms, 2):
        if not isinstance(form, Map):
            raise _damaged(place, f"form {n} is no map: {form!r}")
        if _RUN in form:
            runs.append((form, []))
            order = _Order()
        elif not runs:
            raise _damaged(place, f"form {n} is a step without a run")
        else:
            steps = runs[-1][1]
            steps.append(_step(form, len(steps), order, f"{place}, form {n}"))
    for form, steps in runs:
        yield _trace(form, steps, place)


def _trace(form: Map, steps: Iterable[Step], place: str) -> Trace:
    name, id, status, error = (form.get(key) for key in (_RUN, _ID, _STATUS, _ERROR))
    sound = type(name) is str and isinstance(id, UUID) and isinstance(status, Keyword)
    if not sound or not (error is None or _is_error(error)):
        raise _damaged(place, f"it is no run: {write(form)[:200]}")
    return Trace(id, name, tuple(steps), status, form.get(_RESULT), error)


def _is_error(form: Any) -> bool:
    return isinstance(form, Map) and all(type(form.get(key)) is str for key in (_KIND, _MESSAGE))


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _step(form: Map, n: int, order: _Order, place: str) -> Step:
    op, args, scope = form.get(_OP), form.get(_ARGS), form.get(_SCOPE, ())
    status, error = form.get(_STATUS, DONE), form.get(_ERROR)
    sound = isinstance(op, Keyword) and isinstance(args, Map) and type(scope) is tuple
    sound = sound and all(_is_count(form.get(key, 0)) for key in (_PLACE, _OCCURRENCE))
    ended = error is None if status is DONE else _is_error(error)
    if not sound or status not in STATUSES or not ended:
        raise _damaged(place, f"it is no step: {write(form)[:200]}")
    asked = encode((op, args))
    at, occurrence = order.next(scope, asked)
    return Step(
        op=op,
        args=args,
        n=n,
        status=status,
        result=form.get(_RESULT),
        error=error,
        scope=scope,
        place=form.get(_PLACE, at),
        occurrence=form.get(_OCCURRENCE, occurrence),
        asked=asked,
    )
