"""The paper says what is there: its tests exist, its numbers are the results, and it builds."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from bench import paper as numbers

ROOT = Path(__file__).resolve().parents[2]
PAPER = ROOT / "paper"
SOURCES = sorted(PAPER.rglob("*.typ"))
STATED = re.compile(r"#proposition\(name: \[([^\]]*)\]\)|#checked\(([^)]*)\)|^(= .*)$", re.M)
NAMED = re.compile(r'"(tests/[a-z0-9_/]+\.py)::([A-Za-z0-9_]+)"')
# What holds digits in the evaluation and is no number: names of figures, references, comments.
NO_NUMBER = re.compile(r'"[^"]*"|@[\w:.-]+|<[\w:.-]+>|//.*|\bq[1-5]\b')


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("paper_build", PAPER / "build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_test_that_the_paper_names_is_there() -> None:
    named = [(page.name, *found) for page in SOURCES for found in NAMED.findall(read(page))]
    missing = [
        f"{page}: {file}::{test}"
        for page, file, test in named
        if not (ROOT / file).exists() or not defines(read(ROOT / file), test)
    ]
    assert not missing, "\n".join(missing)
    assert len(named) > 100
    assert sum(read(page).count("tests/") for page in sections()) == len(named)


def test_every_proposition_says_what_checks_it() -> None:
    for page in sections():
        waiting = None
        for name, tests, heading in STATED.findall(read(page)):
            if name or heading:
                assert waiting is None, f"{page.name}: nothing checks {waiting!r}"
                waiting = name or None
            else:
                assert NAMED.search(tests), f"{page.name}: {tests}"
                waiting = None
        assert waiting is None, f"{page.name}: nothing checks {waiting!r}"


def test_the_numbers_are_those_of_the_results() -> None:
    results = json.loads(read(numbers.RESULTS))
    assert read(numbers.FIGURES) == numbers.figures(results), "run python -m bench.paper"


def test_no_number_is_typed_in_the_evaluation() -> None:
    text = NO_NUMBER.sub("", read(PAPER / "sections" / "evaluation.typ"))
    typed = [line for line in text.splitlines() if re.search(r"\d", line)]
    assert not typed, "\n".join(typed)


def test_every_missed_figure_stands_in_the_paper() -> None:
    assert "missed()" in read(PAPER / "sections" / "evaluation.typ")
    told = json.loads(read(numbers.FIGURES))
    missed = [name for name, figure in told["figures"].items() if figure["met"] is False]
    assert len(missed) == told["counts"]["missed"]["value"]


def test_a_number_is_shown_with_three_digits_and_drawn_with_more() -> None:
    figure = {
        "section": "s", "figure": "f", "unit": "ms", "ours": 12.3456, "floor": 10.0, "peers": {},
        "base": "floor", "ratio": 1.23456, "must": None, "met": None, "note": "",
        "spread": {"ours": {"samples": 5}},
    }  # fmt: skip
    text = numbers.figures({"machine": {}, "figures": [figure], "skipped": {}, "failed": {}})
    told = json.loads(text)["figures"]["f"]
    assert told["values"]["ours"] == {"shown": "12.3", "value": 12.3456}
    assert told["ratio"] == {"shown": "1.23", "value": 1.23456}


def test_it_builds_without_warnings(builder: ModuleType) -> None:
    pytest.importorskip("typst", reason="the package typst is not installed")
    pdf, warnings = builder.build()
    assert pdf.startswith(b"%PDF")
    assert warnings == []


def test_one_command_writes_it(
    builder: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("typst", reason="the package typst is not installed")
    assert builder.main(["--out", str(tmp_path / "paper.pdf")]) == 0
    assert (tmp_path / "paper.pdf").read_bytes().startswith(b"%PDF")
    assert "KiB" in capsys.readouterr().out


def test_without_typst_it_says_what_to_install(
    builder: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(builder, "typst", None)
    assert builder.main([]) == 2
    assert "hint: python -m pip install typst" in capsys.readouterr().err


def test_what_it_cites_is_listed_and_what_is_listed_is_cited() -> None:
    listed = set(re.findall(r"^(\w+):$", read(PAPER / "references.yml"), re.M))
    text = "".join(read(page) for page in SOURCES)
    cited = {key for key in re.findall(r"@([a-z0-9]+)\b", text) if not key.isdigit()}
    assert listed <= cited, listed - cited


def sections() -> list[Path]:
    return sorted((PAPER / "sections").glob("*.typ"))


def defines(source: str, name: str) -> bool:
    """Whether a test file has a function, or a state machine, of this name."""
    return re.search(rf"^(?:async )?def {name}\(|^{name} = ", source, re.M) is not None


def read(page: Path) -> str:
    return page.read_text("utf-8")
