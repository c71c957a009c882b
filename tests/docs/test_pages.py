"""Every example in the README and in docs/ runs and says what it says."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from persistence.cli import main
from persistence.formats import strict
from persistence.plans import code_child, code_step, node
from persistence.specs import problems, spec
from persistence.values.limits import LIMITS
from tests.docs.examples import commands, matches, parse

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted(page for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.parts),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_examples_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("PERSISTENCE_STORE", "PERSISTENCE_KEYS", "PERSISTENCE_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)
    for example in parse(page, main):
        example.evaluate()


def test_the_readme_and_the_tutorial_have_examples() -> None:
    for name in ("README.md", "docs/tutorial.md"):
        assert len(list(parse(ROOT / name, main))) >= 3, name


def test_a_console_block_is_a_sequence_of_commands() -> None:
    block = "$ persistence q \\\n  '[:find ?e\n    :where]'\n1\n2\n$ persistence stats\n"
    assert list(commands(block)) == [
        ("persistence q    '[:find ?e\n    :where]'", "1\n2\n"),
        ("persistence stats", ""),
    ]


def test_a_page_that_shows_other_output_fails() -> None:
    assert matches("t 1 ... done", "t 1\n2026-03-01 done\n")
    assert not matches("t 1", "t 2")


def test_the_page_on_limits_is_the_table_of_the_code() -> None:
    lines = (ROOT / "docs" / "limits.md").read_text().splitlines()
    rows = [[cell.strip(" `") for cell in line.split("|")] for line in lines if "| `" in line]
    stated = {row[1]: row[2] for row in rows}
    agents = {
        "plan_depth": node.DEPTH,
        "plan_nodes": node.NODES,
        "code_result_bytes": code_step.RESULT_BYTES,
        "code_file_bytes": code_child.FILE_BYTES,
        "spec_depth": spec.DEPTH,
        "spec_problems": problems.PROBLEMS,
        "line_bytes": strict.LINE_BYTES,
        "line_nesting": strict.NESTING,
    }
    held = attrs.asdict(LIMITS) | agents
    assert stated == {name: str(value) for name, value in held.items()}
