"""Every test that a page names as evidence is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"`(tests/[a-z_/]+\.py)(?:::(test_[a-z0-9_]+))?`")


def test_what_a_page_says_to_be_shown_is_shown() -> None:
    pages = [page for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.parts]
    named = [(page, *found) for page in pages for found in NAMED.findall(page.read_text("utf-8"))]
    missing = [
        f"{page.name}: {file}::{test}"
        for page, file, test in named
        if not (ROOT / file).exists() or f"def {test}" not in (ROOT / file).read_text("utf-8")
    ]
    assert not missing, "\n".join(missing)
    assert sum(page.name == "threats.md" for page, *_ in named) > 30
