"""Entries by fixed offsets: the verifier reads what the store writes, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence.audit.entries import Entry, EntryError, read_entry
from persistence.audit.record import Entry as Theirs
from persistence.audit.record import Header, entry, parse_entry
from persistence.audit.shown import show
from persistence.values import write
from tests.values.strategies import values

hashes = st.binary(min_size=32, max_size=32)
counts = st.integers(0, 30) | st.integers(0, 2**64 - 1)
headers = st.builds(
    Header,
    parent=hashes,
    datoms_root=hashes,
    datoms=counts,
    branch=counts,
    time=st.integers(-(2**63), 2**63 - 1) | st.integers(-300, 300),
    author=st.none() | st.text(max_size=60),
    metadata=hashes,
    event=st.none() | st.lists(values, max_size=4).map(tuple),
)


def built(header: Header, previous: bytes, signed: tuple[bytes, bytes] | None) -> Theirs:
    made = entry(header, previous)
    if signed is None:
        return made
    return Theirs(made.id, made.previous_leaf, made.body, header, *signed)


signatures = st.none() | st.tuples(hashes, st.binary(min_size=64, max_size=64))
entries = st.builds(built, headers, hashes, signatures)


def assert_same(ours: Entry, theirs: Theirs) -> None:
    assert (ours.id, ours.previous_leaf, ours.body) == (
        theirs.id,
        theirs.previous_leaf,
        theirs.body,
    )
    for name in ("parent", "datoms_root", "datoms", "branch", "time", "author", "metadata"):
        assert getattr(ours, name) == getattr(theirs.header, name)
    assert show(ours.event) == write(theirs.header.event)
    assert (ours.public, ours.signature) == (theirs.public, theirs.signature)


@given(entries)
def test_what_the_store_writes_is_read(made: Theirs) -> None:
    assert_same(read_entry(made.encoded()), made)


@given(entries, st.data())
def test_changed_bytes_are_read_only_where_the_store_reads_the_same(
    made: Theirs, data: Any
) -> None:
    changed = bytearray(made.encoded())
    at = data.draw(st.integers(0, len(changed) - 1))
    match data.draw(st.sampled_from(["change", "insert", "delete"])):
        case "change":
            changed[at] = data.draw(st.integers(0, 255))
        case "insert":
            changed.insert(at, data.draw(st.integers(0, 255)))
        case "delete":
            del changed[at]
    try:
        ours = read_entry(bytes(changed))
    except EntryError:
        return
    assert_same(ours, parse_entry(bytes(changed)))


@given(entries, st.integers(0, 400))
def test_a_part_of_an_entry_is_none(made: Theirs, at: int) -> None:
    data = made.encoded()
    with pytest.raises(EntryError):
        read_entry(data[: min(at, len(data) - 1)])


@given(st.binary(max_size=300))
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(EntryError):
        read_entry(data)
