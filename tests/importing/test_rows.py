"""Readers give every object of a file, wherever their window happens to end."""

from __future__ import annotations

import csv
import io
import json
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence.errors import InputError
from persistence.importing import edn_rows, json_rows
from persistence.importing.rows import Row, Unreadable, read_rows
from persistence.values import freeze, write

words = st.text(
    st.characters(exclude_categories=["Cs"], include_characters='"\\[]{}(),:;#\n'), max_size=12
)
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words
leaves = leaves.filter(lambda x: x not in (float("inf"), float("-inf")))
things = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3)
)
objects = st.dictionaries(words, things, max_size=4)


def rows(text: str, kind: str, **options: Any) -> list[Row | Unreadable]:
    return list(read_rows(io.BytesIO(text.encode()), kind, **options))


def data(text: str, kind: str) -> list[Any]:
    found = rows(text, kind)
    assert all(type(row) is Row for row in found), found
    return [row.data for row in found]


@given(st.lists(objects, max_size=5), st.integers(1, 40), st.sampled_from([None, 1]))
def test_json_does_not_depend_on_the_window(
    given_rows: list[Any], window: int, indent: int | None
) -> None:
    text = json.dumps(given_rows, indent=indent)
    with patch.object(json_rows, "_WINDOW", window):
        assert data(text, "json") == given_rows


@given(st.dictionaries(words, objects, max_size=5), st.integers(1, 40))
def test_an_object_of_objects_gives_its_keys(given_rows: dict[str, Any], window: int) -> None:
    with patch.object(json_rows, "_WINDOW", window):
        found = rows(json.dumps(given_rows), "json")
    assert {row.key: row.data for row in found} == given_rows  # type: ignore[union-attr]


@given(st.lists(objects, max_size=5))
def test_json_lines_round_trip(given_rows: list[Any]) -> None:
    text = "\n".join(json.dumps(row) for row in given_rows)
    assert data(text, "jsonl") == given_rows


@given(st.lists(objects, max_size=5), st.integers(1, 40), st.booleans(), st.booleans())
def test_edn_does_not_depend_on_the_window(
    given_rows: list[Any], window: int, wrapped: bool, pretty: bool
) -> None:
    frozen = [freeze(row) for row in given_rows]
    text = ";; ] a comment\n" + "\n; } and\n".join(write(row, pretty=pretty) for row in frozen)
    if wrapped:
        text = f"[{text}\n]"
    with patch.object(edn_rows, "_WINDOW", window):
        assert data(text, "edn") == frozen


@given(
    st.lists(st.lists(words.filter(bool), min_size=2, max_size=2), max_size=5),
    st.sampled_from([",", "\t"]),
)
def test_tables_round_trip(cells: list[list[str]], delimiter: str) -> None:
    file = io.StringIO()
    csv.writer(file, delimiter=delimiter).writerows([["a", "b"], *cells])
    kind = "csv" if delimiter == "," else "tsv"
    assert data(file.getvalue(), kind) == [dict(zip("ab", row, strict=True)) for row in cells]


def test_rows_know_their_line() -> None:
    assert [row.line for row in rows('[\n{"a": 1},\n\n{"b": 2}]', "json")] == [2, 4]
    assert [row.line for row in rows('{"a": 1}\n\n{"b": 2}\n', "jsonl")] == [1, 3]
    assert [row.line for row in rows("{:a 1}\n; c\n\n{:b 2}", "edn")] == [1, 4]
    assert [row.line for row in rows('a\n"1\n2"\n3\n', "csv")] == [2, 4]


@pytest.mark.parametrize(
    ("kind", "text", "reason"),
    [
        ("jsonl", '{"a": 1', "column 8"),
        ("jsonl", '{"a": 1} {}', "column 9"),
        ("jsonl", "[1]", "an object is expected"),
        ("jsonl", '{"a": 1, "a": 2}', "'a' comes twice"),
        ("jsonl", '{"a": NaN}', "NaN is no JSON number"),
        ("jsonl", '{"a": ' + "1" * 5000 + "}", "too long"),
        ("json", '[{"a": 1, "a": 2}]', "'a' comes twice"),
        ("json", "[7]", "an object is expected"),
        ("csv", "a,b\n1\n", "it has 1 cells, and the header has 2"),
        ("csv", 'a\n"x"y\n', "expected after"),
        ("edn", "{:a 1 :a 2}", "comes twice"),
        ("edn", "{:a (]}", "cannot close"),
        ("edn", "#{1}", "an object is expected"),
    ],
)
def test_a_row_that_can_be_stepped_over_is_refused_alone(kind: str, text: str, reason: str) -> None:
    good = {"jsonl": '\n{"z": 1}', "csv": "", "edn": "\n{:z 1}", "json": ""}[kind]
    first, *others = rows(text + good, kind)
    assert isinstance(first, Unreadable) and reason in first.reason
    assert all(type(row) is Row for row in others) and len(others) == bool(good)


@pytest.mark.parametrize(
    ("kind", "text", "place"),
    [
        ("json", '[{"a": 1}\n {"b": 2}]', "line 2, column 2: a comma or ]"),
        ("json", '[{"a": tru}]', "line 1, column 8"),
        ("json", '{"a": 1}', "'a' is none"),
        ("json", '{"a": {}}\n{"b": {}}', "line 2, column 1: the file goes on"),
        ("json", "", "an array of objects"),
        ("json", '[{"a": "x]', "line 1, column 8: unterminated"),
        ("edn", "[{:a 1}", "never closed"),
        ("edn", "\n{:a 1}}", "line 2, column 7: } closes nothing"),
        ("edn", "[{:a 1}] {:b 1}", "goes on after"),
        ("csv", "a,b,a\n", "'a' twice"),
    ],
)
def test_what_cannot_be_stepped_over_ends_the_import(kind: str, text: str, place: str) -> None:
    with pytest.raises(InputError, match=r"line|header") as refused:
        rows(text, kind)
    assert place in str(refused.value)


@pytest.mark.parametrize("kind", ["json", "csv", "edn"])
def test_text_that_is_not_utf8_is_an_error(kind: str) -> None:
    with pytest.raises(InputError, match="not UTF-8"):
        list(read_rows(io.BytesIO(b'["\xff"]'), kind))


def test_a_line_that_is_not_utf8_is_refused_alone() -> None:
    found = list(read_rows(io.BytesIO(b'{"a": "\xff"}\n{"a": 1}\n'), "jsonl"))
    assert [type(row) for row in found] == [Unreadable, Row]


def test_a_byte_order_mark_is_no_part_of_the_first_name() -> None:
    for kind, text in (("json", '[{"a": 1}]'), ("jsonl", '{"a": 1}'), ("csv", "a\n1")):
        (row,) = read_rows(io.BytesIO(b"\xef\xbb\xbf" + text.encode()), kind)
        assert list(row.data) == ["a"]
