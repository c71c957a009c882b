"""What is no content of a SQLite file is zeroed; what is content stays as it was."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence import Substrate
from persistence.erasing import shred
from persistence.store.sqlite_slack import Layout, UnknownLayout

OVERFLOW = "SELECT pageno, unused FROM dbstat WHERE pagetype = 'overflow'"


def cleaned(path: Path) -> int:
    """Zeroes the slack of a file that nobody else has open; gives how many pages had any."""
    db = apsw.Connection(str(path))
    data = bytearray(path.read_bytes())
    layout = Layout.of(reading(data), db.execute(OVERFLOW).fetchall())
    db.close()
    pages = range(0, len(data), layout.page)
    found = sum(layout.cleaned(n, data, at) for n, at in enumerate(pages, start=1))
    path.write_bytes(data)
    return found


def reading(data: bytes) -> Callable[[int, int], bytes]:
    return lambda size, place: bytes(data[place : place + size])


def content(db: apsw.Connection) -> list[object]:
    return [
        db.execute("PRAGMA integrity_check").fetchall(),
        db.execute("SELECT * FROM one ORDER BY k").fetchall(),
        db.execute("SELECT * FROM other ORDER BY a, b").fetchall(),
    ]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("slack")


@given(st.integers(0, 2**32), st.sampled_from((512, 1024, 4096, 65_536)), st.floats(0, 1))
def test_content_stays_and_no_deleted_value_is_left(
    place: Path, seed: int, page: int, kept: float
) -> None:
    draw = random.Random(seed)
    path = place / "file.db"
    path.unlink(missing_ok=True)
    db = apsw.Connection(str(path))
    db.execute(f"PRAGMA page_size = {page}")
    db.execute("CREATE TABLE one (k INTEGER PRIMARY KEY, v); CREATE INDEX by_v ON one (v)")
    db.execute("CREATE TABLE other (a, b, PRIMARY KEY (a, b)) WITHOUT ROWID")
    gone = []
    with db:
        for n in range(draw.randint(1, 400)):
            word = f"{n}-{draw.getrandbits(64):016x}" * draw.choice((1, 1, 1, 2, 9, 300))
            key = draw.getrandbits(40)
            if draw.random() < kept:
                db.execute("INSERT INTO one VALUES (?, ?)", (key, f"stays {word}"))
            else:
                db.execute("INSERT INTO one VALUES (?, ?)", (key, word))
                db.execute("INSERT INTO other VALUES (?, ?)", (word, key))
                gone.append((key, word))
    with db:
        for key, word in gone:
            db.execute("DELETE FROM one WHERE k = ?", (key,))
            db.execute("DELETE FROM other WHERE a = ?", (word,))
    with db:  # what is written afterwards takes the place of some
        for n in range(draw.randint(0, 100)):
            db.execute("INSERT INTO one VALUES (?, ?)", (-n, "after" * draw.randint(1, 400)))
    before = content(db)
    db.close()
    cleaned(path)
    assert cleaned(path) == 0
    db = apsw.Connection(str(path))
    assert content(db) == before
    db.close()
    data = path.read_bytes()
    for _, word in gone:
        assert word.split("-")[1][:16].encode() not in data


@pytest.fixture
def db(tmp_path: Path) -> Iterator[apsw.Connection]:
    opened = apsw.Connection(str(tmp_path / "file.db"))
    yield opened
    opened.close()


@pytest.mark.parametrize("pragma", ["auto_vacuum = FULL", "auto_vacuum = INCREMENTAL"])
def test_a_file_with_pages_of_other_kinds_is_left_alone(
    db: apsw.Connection, tmp_path: Path, pragma: str
) -> None:
    db.execute(f"PRAGMA {pragma}")
    db.execute("CREATE TABLE one (k)")
    with pytest.raises(UnknownLayout):
        Layout.of(reading((tmp_path / "file.db").read_bytes()), [])


@given(st.data())
def test_a_damaged_page_is_refused_or_changed_in_its_slack_only(data: st.DataObject) -> None:
    page = bytearray(data.draw(st.binary(min_size=512, max_size=512)))
    page[0] = data.draw(st.sampled_from((0, 2, 5, 10, 13, 99)))
    layout = Layout(512, {})
    try:
        layout.cleaned(7, page, 0)
    except UnknownLayout:
        return
    assert not layout.cleaned(7, page, 0)


@pytest.mark.parametrize("mmap_bytes", [0, 2**30])
def test_connections_do_not_write_back_what_they_remember(tmp_path: Path, mmap_bytes: int) -> None:
    with Substrate.open(tmp_path / "store.db", mmap_bytes=mmap_bytes) as s:
        for n in range(50):
            s.fact.transact([{"db/id": f"e{n}", "p/v": f"salmagundi {n}"}])
        with s._connection.store.session() as session:
            session.rows("DELETE FROM fact WHERE v LIKE 'salmagundi%'")
            session.rows("DROP TRIGGER log_is_never_deleted")
            session.rows("DELETE FROM log WHERE v LIKE 'salmagundi%'")
        other = apsw.Connection(str(tmp_path / "store.db"))
        other.execute("PRAGMA wal_checkpoint (TRUNCATE)").fetchall()
        other.close()
        with s._connection.store.session() as session:  # which remembers every page from now on
            session.rows("SELECT count(v) FROM fact")
            session.rows("SELECT count(v) FROM log")
        assert shred(s._connection) == ()
        s.fact.transact([{"db/id": "e", "p/v": 7}])  # into a page that had them
        held = [file.name for file in tmp_path.iterdir() if b"salmagundi" in file.read_bytes()]
        assert held == []
