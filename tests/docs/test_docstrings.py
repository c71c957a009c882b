"""Every example in a docstring runs and says what it says."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

from tests.docs.world import small_world

SOURCE = Path(__file__).resolve().parents[2] / "src"
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
MODULES = sorted(
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
    for path in SOURCE.rglob("*.py")
    if path.name != "__main__.py"
)


def examples(name: str) -> list[doctest.DocTest]:
    return doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name))


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_of_a_module_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    found = examples(name)
    if found:
        with small_world() as world:
            for example in found:
                example.globs = {**world, **example.globs}
                runner.run(example, out=report.append)
    assert not runner.failures, "".join(report)


def test_no_docstring_example_is_skipped() -> None:
    skipped = [
        f"{test.name}: {line.source.strip()}"
        for name in MODULES
        for test in examples(name)
        for line in test.examples
        if doctest.SKIP in line.options
    ]
    assert not skipped, "\n".join(skipped)


def test_there_are_docstring_examples() -> None:
    assert sum(len(test.examples) for name in MODULES for test in examples(name)) > 10
