"""The formats are pinned by tests/vectors/canonical.json, which any language can read."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from persistence.errors import InputError
from persistence.values import (
    CONTEXTS,
    FOREVER,
    Keyword,
    Kind,
    Tagged,
    columns,
    compare,
    datom_id,
    decode,
    decode_datom,
    encode,
    encode_datom,
    from_columns,
    identity,
    read,
    sort_key,
    value_id,
    write,
)

VECTORS = json.loads(
    (Path(__file__).parent.parent / "vectors" / "canonical.json").read_text("utf-8")
)


def _read(text: str) -> Any:
    return read(text, default=Tagged)


def test_the_contexts_of_content_ids_are_pinned() -> None:
    assert VECTORS["contexts"] == CONTEXTS


@pytest.mark.parametrize("vector", VECTORS["values"], ids=lambda vector: vector["edn"][:30])
def test_values_are_pinned(vector: dict[str, Any]) -> None:
    value = _read(vector["edn"])
    assert write(value) == vector["written"]
    assert encode(value).hex() == vector["cbor"]
    assert identity(decode(bytes.fromhex(vector["cbor"]))) == identity(value)
    assert value_id(value).hex() == vector["blob_id"]
    assert sort_key(value) == vector["sort_key"]
    if value is None:
        return
    k, payload, interned = columns(value)
    # JSON knows no infinity: the payload of a float is given as EDN.
    assert [k, write(payload) if k == Kind.FLOAT else payload] == vector["columns"]
    assert identity(from_columns(k, payload, interned)) == identity(value)


def test_the_vectors_are_in_ascending_order() -> None:
    values = [_read(vector["edn"]) for vector in VECTORS["values"]]
    for low, high in itertools.pairwise(values):
        assert compare(low, high) == -1


@pytest.mark.parametrize("vector", VECTORS["datoms"], ids=lambda vector: vector["id"][:12])
def test_datoms_are_pinned(vector: dict[str, Any]) -> None:
    valid_to = FOREVER if vector["valid_to"] is None else vector["valid_to"]
    datom = (
        vector["e"],
        Keyword(vector["a"]),
        _read(vector["v"]),
        vector["valid_from"],
        valid_to,
        vector["op"] == "assert",
    )
    assert encode_datom(*datom).hex() == vector["cbor"]
    assert datom_id(*datom).hex() == vector["id"]
    assert identity(decode_datom(bytes.fromhex(vector["cbor"]))) == identity(datom)


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda vector: vector["why"])
def test_refused_bytes_are_pinned(vector: dict[str, str]) -> None:
    with pytest.raises(InputError):
        decode(bytes.fromhex(vector["cbor"]))
