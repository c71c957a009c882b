"""Rows as they come out of a file: one at a time, numbered, with their place.

A reader gives a `Row` for every object it finds and an `Unreadable` for every piece that it can
step over. What it cannot step over, such as a bracket that is never closed, ends the import with
an `InputError` that names line and column.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, TypeAlias

from persistence.errors import InputError
from persistence.importing import edn_rows, json_rows
from persistence.values import LIMITS

SUFFIXES: Final = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".edn": "edn",
}
FORMATS: Final = ("json", "jsonl", "csv", "tsv", "edn")


class Row(NamedTuple):
    """One object of a file. *key* is what it was filed under, in an object of objects."""

    number: int  # counts from 1, over everything that can be a row
    line: int
    data: Mapping[Any, Any]
    key: str | None = None


class Unreadable(NamedTuple):
    """A piece of a file that is no row; *data* is what stands there."""

    number: int
    line: int
    data: Any
    reason: str


Rows: TypeAlias = Generator[Row | Unreadable, None, None]


def format_of(path: Path, given: str | None) -> str:
    """The format of the file at *path*: as *given*, else by its extension.

    >>> format_of(Path("people.jsonl"), None)
    'jsonl'

    Raises:
        InputError: neither says a format that is known.
    """
    if given is not None and given not in FORMATS:
        raise InputError(f"{given!r} is no format", hint=f"use one of {', '.join(FORMATS)}")
    found = given or SUFFIXES.get(path.suffix.lower())
    if found is None:
        raise InputError(
            f"the name {path.name} does not tell the format of the file",
            hint=f"say which it is: one of {', '.join(FORMATS)}",
        )
    return found


def read_rows(file: BinaryIO, kind: str, *, decimals: bool = False) -> Rows:
    """The rows of *file*, read as they are asked for.

    With *decimals* the numbers of JSON that have a fraction come as decimals, digit for digit,
    and not as floats.

    Raises:
        InputError: on reaching something that cannot be stepped over.
    """
    if kind == "jsonl":
        yield from _lines(file, decimals)
        return
    text = io.TextIOWrapper(file, "utf-8-sig", newline="" if kind in ("csv", "tsv") else None)
    try:
        if kind in ("csv", "tsv"):
            yield from _table(text, "," if kind == "csv" else "\t")
        elif kind == "json":
            found = json_rows.objects(_pieces(text), decimals)
            for number, (line, key, value, reason) in enumerate(found, 1):
                yield _row(number, line, value, key, reason)
        else:
            for number, (line, value, reason) in enumerate(edn_rows.forms(_pieces(text)), 1):
                yield _row(number, line, value, None, reason)
    finally:
        text.detach()  # the file belongs to the caller, who closes it


def _row(
    number: int, line: int, data: Any, key: str | None, reason: str | None
) -> Row | Unreadable:
    if reason is None and not isinstance(data, Mapping):
        reason = "an object is expected here"
    if reason is not None:
        return Unreadable(number, line, data, reason)
    return Row(number, line, data, key)


def _pieces(text: io.TextIOWrapper) -> Callable[[int], str]:
    def read(size: int) -> str:
        try:
            return text.read(size)
        except UnicodeDecodeError as error:
            raise _not_utf8(error) from error

    return read


def _not_utf8(error: UnicodeDecodeError) -> InputError:
    bad = error.object[error.start : error.start + 1].hex()
    return InputError(
        f"the file is not UTF-8 text: it holds the byte 0x{bad} where none can be",
        hint="convert it first, for instance with iconv -t utf-8",
    )


# ------------------------------------------------------------------- JSON lines


def _lines(file: BinaryIO, decimals: bool) -> Rows:
    scan = json_rows.decoder(decimals).raw_decode
    number = 0
    for line, raw in enumerate(file, 1):
        try:
            text = raw.decode("utf-8-sig" if line == 1 else "utf-8").strip(" \t\r\n")
            if not text:
                continue
            number += 1
            value, end = scan(text)
            if end != len(text):
                raise json.JSONDecodeError("this goes on after its end", text, end)
        except UnicodeDecodeError:
            number += 1
            yield Unreadable(number, line, raw.decode("utf-8", "replace"), "it is not UTF-8 text")
        except json.JSONDecodeError as error:
            yield Unreadable(number, line, text, f"column {error.pos + 1}: {_said(error)}")
        except json_rows.FAILURES as error:
            yield Unreadable(number, line, text, json_rows.why(error))
        else:
            if type(value) is dict:
                yield Row(number, line, value)
            else:
                yield Unreadable(number, line, value, "an object is expected here")


def _said(error: json.JSONDecodeError) -> str:
    return error.msg[:1].lower() + error.msg[1:]


# -------------------------------------------------------------------------- CSV


def _table(text: io.TextIOWrapper, delimiter: str) -> Rows:
    csv.field_size_limit(LIMITS.value_bytes)
    table = csv.reader(text, delimiter=delimiter, strict=True)
    header = _header(table)
    width, number = len(header), 0
    while True:
        line = table.line_num + 1
        try:
            cells = next(table)
        except StopIteration:
            return
        except UnicodeDecodeError as error:
            raise _not_utf8(error) from error
        except csv.Error as error:
            number += 1
            yield Unreadable(number, line, None, str(error))
            continue
        if not cells:
            continue
        number += 1
        if len(cells) == width:
            # An empty cell is no value: CSV has no other way to leave one out.
            data = {name: cell for name, cell in zip(header, cells, strict=True) if cell}
            yield Row(number, line, data)
        else:
            reason = f"it has {len(cells)} cells, and the header has {width}"
            yield Unreadable(number, line, cells, reason)


def _header(table: Iterator[list[str]]) -> list[str]:
    try:
        header = next(table, [])
    except UnicodeDecodeError as error:
        raise _not_utf8(error) from error
    except csv.Error as error:
        raise InputError(f"line 1: the header cannot be read: {error}") from error
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise InputError(
            f"line 1: the header names {', '.join(map(repr, twice))} twice",
            hint="every column needs a name of its own",
        )
    return header
