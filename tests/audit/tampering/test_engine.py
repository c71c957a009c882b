"""What belongs to the engine: how tables are made, what full text keeps, what is guessed."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Final

import apsw
import pytest

from persistence import Substrate
from persistence.errors import PersistenceError
from tests.audit.tampering import changes
from tests.audit.tampering.conftest import Planted
from tests.audit.tampering.planted import tampering, told
from tests.audit.tampering.test_fields import table_of

Copied = Callable[[], Path]

OBJECTS: Final = {
    "a guard that is gone": ("DROP TRIGGER tx_is_never_updated", "trigger tx_is_never_updated"),
    "a guard that guards nothing": (
        "DROP TRIGGER tx_is_never_updated;"
        " CREATE TRIGGER tx_is_never_updated BEFORE UPDATE ON tx BEGIN SELECT 1; END",
        "trigger tx_is_never_updated",
    ),
    "a trigger that writes": (
        "CREATE TRIGGER quiet AFTER INSERT ON fact BEGIN DELETE FROM fact WHERE t0 = new.t0; END",
        "trigger quiet",
    ),
    "a view": ("CREATE VIEW seen AS SELECT * FROM fact", "view seen"),
    "a table": ("CREATE TABLE more (x)", "table more"),
    "an index that is gone": ("DROP INDEX avet", "index avet"),
    "an index of fewer rows": (
        "DROP INDEX tx_branch; CREATE INDEX tx_branch ON tx (branch, t) WHERE branch > 1",
        "index tx_branch",
    ),
}


@pytest.mark.parametrize("what", OBJECTS)
def test_what_is_made_otherwise_is_told_by_its_name(
    planted: Planted, copied: Copied, what: str
) -> None:
    sql, place = OBJECTS[what]
    path = copied()
    file = apsw.Connection(str(path))
    file.execute(sql)
    file.close()
    assert any(line.startswith(place) for line in told(path, planted.keys))


HEADS: Final = {
    "another program's": ("application_id = 7", "NotAStore"),
    "a later version's": ("user_version = 99", "NewerStore"),
    "an earlier version's": ("user_version = 1", "StoreError"),
}


@pytest.mark.parametrize("what", HEADS)
def test_a_file_that_says_it_is_something_else_is_refused(
    planted: Planted, copied: Copied, what: str
) -> None:
    pragma, error = HEADS[what]
    path = copied()
    file = apsw.Connection(str(path))
    file.execute(f"PRAGMA {pragma}")
    file.close()
    with pytest.raises(PersistenceError) as caught:
        Substrate.open(path, keys=planted.keys)
    assert error in {kind.__name__ for kind in type(caught.value).__mro__}


SHADOWS: Final = {
    "fts_data": ("id", "block"),
    "fts_idx": ("segid", "term", "pgno"),
    "fts_docsize": ("id", "sz", "origin"),
    "fts_config": ("k", "v"),
}
TERMS: Final = ("tea", "green", "hot", "what", "black", "white", "if", "blue")


def _searches(path: Path, planted: Planted) -> list[object]:
    question = "[:find ?e ?v :in $ ?text :where [(fulltext $ :note ?text) [[?e ?v]]]]"
    with Substrate.open(path, keys=planted.keys) as s:
        lines = (s.fact.db(), s.branch.open("what-if").fact.db())
        return [sorted(db.q(question, term)) for db in lines for term in TERMS]


@pytest.mark.parametrize(
    ("name", "column"), [(table, column) for table, names in SHADOWS.items() for column in names]
)
def test_what_full_text_keeps_is_told_unless_every_search_finds_the_same(
    planted: Planted, copied: Copied, name: str, column: str
) -> None:
    """Its own tables hold search aids and statistics too, which no answer depends on."""
    answers = _searches(planted.path, planted)
    table = table_of(planted.path, name)
    for row, way in itertools.product(table.rows, ("change", "delete", "duplicate")):
        path = copied()
        with tampering(path) as file:
            if way == "change":
                changes.write(file, table, row, column)
            elif column != table.columns[0]:
                continue
            elif way == "delete":
                changes.delete(file, table, row)
            else:
                changes.duplicate(file, table, row)
        said = told(path, planted.keys)
        if said:
            assert any(line.startswith(("engine", "full text")) for line in said), said
        else:
            assert _searches(path, planted) == answers, (row, way)


def test_what_the_planner_guesses_changes_no_answer(planted: Planted, copied: Copied) -> None:
    path = copied()
    with tampering(path) as file:
        file.execute("UPDATE sqlite_stat1 SET stat = '1 1 1 1 1 1 1 1'")
    assert told(path, planted.keys) == []
    assert _searches(path, planted) == _searches(planted.path, planted)
