"""Full text: the same words are found on every backend, and join their facts."""

from __future__ import annotations

from persistence.store import Store
from persistence.store.words import words
from tests.store.batches import batch, fact


def test_full_text_joins_its_facts(store: Store) -> None:
    text = "Ada Lovelace, ada@example.org"
    with store.session() as session:
        session.append(batch(1, [fact(1, 1, text)], texts=[(1, 9, text, text)]))
        session.append(batch(2, [fact(2, 1, text, 2)], texts=[(1, 9, text, text)] * 2))
    with store.snapshot() as snapshot:
        for asked, found in (("LOVELACE ada", [1, 2]), ("lovelace@ada", [1, 2]), ("adam", [])):
            assert matches(store, snapshot, asked) == found
    with store.session() as session:
        session.clear_index()
        session.write_index(insert=[fact(1, 1, text)], texts=[(1, 9, text, text)])
        assert matches(store, session, "ada") == [1]


def matches(store: Store, snapshot: object, asked: str) -> list[int]:
    """The entities whose text has all the words of *asked*."""
    if store.dialect.name == "sqlite":
        query = " ".join(f'"{word}"' for word in words(asked))
        sql = """
            SELECT f.e FROM fts JOIN text ON text.id = fts.rowid
            JOIN fact AS f ON f.seg = 0 AND (f.a, f.k, f.v) = (text.a, text.k, text.v)
            WHERE fts.words MATCH ?1 ORDER BY f.e
        """
    else:
        query = " & ".join(f"'{word}'" for word in words(asked))
        sql = """
            SELECT f.e FROM fts
            JOIN fact AS f ON f.seg = 0 AND (f.a, f.k, f.n, f.s) = (fts.a, fts.k, fts.n, fts.s)
            WHERE fts.words @@ $1::tsquery ORDER BY f.e
        """
    return [e for (e,) in snapshot.rows(sql, (query,))]  # type: ignore[attr-defined]


def test_a_text_of_any_length_has_bounded_words() -> None:
    assert words("x" * 5_000) == ["x" * 200]
    many = words(" ".join(f"word{n}" for n in range(200_000)))
    assert sum(len(word) + 1 for word in many) <= 500_000
    assert words("  -- ") == []


def test_very_long_texts_are_indexed(store: Store) -> None:
    text = " ".join(f"word{n}" for n in range(100_000))
    with store.session() as session:
        session.append(batch(1, [fact(1, 1, "x")], texts=[(1, 9, "x", text)]))
    with store.snapshot() as snapshot:
        assert matches(store, snapshot, "word7") == [1]
