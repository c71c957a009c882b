"""The page on plans has the tables of the code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from persistence.plans import COMMON, FUNCTIONS, KINDS, Kind

PAGE = Path(__file__).resolve().parents[2] / "docs" / "plans.md"
CHILDREN = {
    (0, 0): "none",
    (0, None): "any",
    (1, None): "1 or more",
    (1, 1): "1",
    (1, 2): "1 or 2",
    (0, 1): "none or 1",
}


def rows() -> Iterator[str]:
    for kind in KINDS.values():
        children = CHILDREN[kind.least, kind.most]
        cells = [f"`{kind.tag}`", attributes(kind), children, kind.doc, kind.value, kind.cost]
        yield f"| {' | '.join(cells)} |"
    for function in FUNCTIONS.values():
        yield f"| `{function.usage}` | {function.doc} |"


def attributes(kind: Kind) -> str:
    own = [row for row in kind.attributes.values() if row.name not in COMMON]
    return ", ".join(f"**`{row.name}`**" if row.required else f"`{row.name}`" for row in own)


@pytest.mark.parametrize("row", [*rows()])
def test_every_kind_and_every_function_stands_on_the_page(row: str) -> None:
    assert row in PAGE.read_text(encoding="utf-8")
