"""DataScript's own test suite, recorded, holds here: 869 cases on each backend.

See `differences.md` for the few that differ on purpose.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from persistence import Substrate
from tests.conformance.calls import check
from tests.conformance.cases import CASES, Case, cases, differences
from tests.conformance.stores import Shelf

MOST_DIFFERENCES = 0.03  # of all cases
_names = itertools.count(1)


@pytest.fixture(scope="module")
def sqlite() -> Iterator[Shelf]:
    shelf = Shelf(lambda: Substrate.open(":memory:"))
    yield shelf
    shelf.close()


@pytest.fixture(scope="module")
def postgres(postgres_uri: str) -> Iterator[Shelf]:
    mark = "&" if "?" in postgres_uri else "?"

    def opened() -> Substrate:  # every store in a schema of its own
        return Substrate.open(f"{postgres_uri}{mark}schema=case_{next(_names)}")

    shelf = Shelf(opened)
    yield shelf
    shelf.close()


def _agrees(case: Case, shelf: Shelf) -> None:
    problem = check(case, shelf)
    reason = differences().get(case.line)
    if reason is None:
        assert problem is None, f"line {case.line}: {problem}"
    else:
        assert problem is not None, f"line {case.line} is listed as different, but it agrees"


every_case = pytest.mark.parametrize(
    "case",
    cases() or [pytest.param(None, marks=pytest.mark.skip(reason=f"{CASES} is not there"))],
    ids=repr,
)


@every_case
def test_sqlite_agrees(case: Case, sqlite: Shelf) -> None:
    _agrees(case, sqlite)


@every_case
def test_postgres_agrees(case: Case, postgres: Shelf) -> None:
    _agrees(case, postgres)


def test_differences_are_few_and_name_cases() -> None:
    if not cases():
        pytest.skip(f"{CASES} is not there")
    assert set(differences()) <= set(range(1, len(cases()) + 1))
    assert len(differences()) <= MOST_DIFFERENCES * len(cases())
