"""Memories: found by their words, corrected over time, forgotten and kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence import Substrate
from persistence.errors import EntityNotFound, InputError
from persistence.memory import Memory
from persistence.memory.ranking import Row, ranked, weights
from persistence.store.words import words


@pytest.fixture
def s(store_uri: str) -> Iterator[Substrate]:
    with Substrate.open(store_uri) as opened:
        yield opened


@pytest.fixture
def memory(s: Substrate) -> Memory:
    return s.memory


def texts(memory: Memory, query: str | None = None, **options: Any) -> list[str]:
    return [each.text for each in memory.recall(query, **options)]


# ----------------------------------------------------------------------------- laws

VOCABULARY = ("tea", "coffee", "ada", "the", "is", "out")
SENTENCES = st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=6).map(" ".join)
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("remember"), SENTENCES, st.just(0)),
        st.tuples(st.just("correct"), SENTENCES, st.integers(0, 5)),
        st.tuples(st.just("forget"), st.just("asked"), st.integers(0, 5)),
    ),
    max_size=12,
)


@given(ACTIONS, st.sampled_from(VOCABULARY))
def test_recall_shows_what_is_remembered_now_and_earlier_values_what_was_then(
    actions: list[tuple[str, str, int]], word: str
) -> None:
    with Substrate.open(":memory:") as s:
        memory = s.memory
        model: dict[int, str] = {}
        moments = []
        for action, text, place in actions:
            ids = sorted(model)
            if action == "remember":
                model[memory.remember(text)] = text
            elif ids and action == "correct":
                chosen = ids[place % len(ids)]
                memory.correct(chosen, text)
                model[chosen] = text
            elif ids:
                memory.forget(ids[place % len(ids)], text)
                del model[ids[place % len(ids)]]
            moments.append((s.fact.db(), dict(model)))
        for db, known in moments:
            found = {each.id: each.text for each in memory.recall(word, limit=50, db=db)}
            assert found == {id: text for id, text in known.items() if word in text.split()}
        assert s.check() == []


@given(st.lists(SENTENCES, max_size=30), SENTENCES, st.integers(1, 5))
def test_leaving_common_words_alone_never_changes_the_ranking(
    said: list[str], query: str, limit: int
) -> None:
    rows: list[Row] = [(n, text, n) for n, text in enumerate(said)]

    def lookup(word: str) -> list[Row]:
        return [row for row in rows if word in words(row[1])]

    weight = weights({word: len(lookup(word)) for word in dict.fromkeys(words(query))})
    whole = ranked(weight, lookup, len(rows) + 1)
    assert ranked(weight, lookup, limit) == whole[:limit]
    assert {each.row for each in whole} == {row for word in weight for row in lookup(word)}


def test_common_words_are_not_read_when_a_rare_one_decides() -> None:
    asked = []

    def lookup(word: str) -> list[Row]:
        asked.append(word)
        return [(1, "oolong oolong oolong", 1)] if word == "oolong" else []

    assert [each.row[0] for each in ranked(weights({"the": 10**6, "oolong": 1}), lookup, 1)] == [1]
    assert asked == ["oolong"]


def test_a_memory_with_common_words_only_is_found_if_nothing_else_is() -> None:
    rows = {"the": [(1, "the tea", 1), (2, "the", 2)], "tea": [(1, "the tea", 1)]}
    weight = weights({"the": 2_000, "tea": 1})
    assert [each.row[0] for each in ranked(weight, rows.__getitem__, 9, {"the"})] == [1]
    weight = weights({"the": 2_000, "coffee": 0})
    assert [each.row[0] for each in ranked(weight, rows.__getitem__, 9, {"the"})] == [2, 1]


# --------------------------------------------------------------------------- recall


def test_rare_words_count_more_than_common_ones(memory: Memory) -> None:
    for n in range(5):
        memory.remember(f"the tea of day {n} is the best tea")
    memory.remember("oolong is sold out")
    assert texts(memory, "oolong tea", limit=1) == ["oolong is sold out"]


def test_of_equals_the_shorter_and_then_the_newer_is_first(memory: Memory) -> None:
    for text in ("tea at four", "tea at five", "tea at the office at four"):
        memory.remember(text)
    assert texts(memory, "tea") == ["tea at five", "tea at four", "tea at the office at four"]


def test_without_a_query_the_newest_come_first(memory: Memory) -> None:
    for text in ("one", "two", "three"):
        memory.remember(text)
    assert texts(memory, limit=2) == ["three", "two"]


def test_about_asks_for_one_entity_however_it_is_named(s: Substrate, memory: Memory) -> None:
    s.fact.transact("[{:db/ident :user/name :db/unique :db.unique/identity}]")
    ids = s.fact.transact(
        [{"db/id": "a", "user/name": "Ada"}, {"db/id": "b", "user/name": "Bob"}]
    ).tempids
    memory.remember("likes tea", about=["user/name", "Ada"])
    memory.remember("likes tea too", about=ids["b"])
    assert texts(memory, "tea", about=ids["a"]) == ["likes tea"]
    assert texts(memory, about=["user/name", "Bob"]) == ["likes tea too"]
    assert memory.recall("tea", about=ids["a"])[0].about == (ids["a"],)


def test_an_entry_carries_what_was_given_with_it(memory: Memory) -> None:
    id = memory.remember(
        "Ada likes tea", kind="preference", source={"run": 7}, sure=0.9, **{"chat/turn": 3}
    )
    (entry,) = memory.recall("tea")
    assert (entry.id, str(entry.kind), entry.source) == (id, ":preference", {"run": 7})
    assert {str(a): v for a, v in entry.facts.items()} == {":memory/sure": 0.9, ":chat/turn": 3}


def test_recall_in_a_store_that_never_remembered_finds_nothing(memory: Memory) -> None:
    assert memory.recall("tea") == memory.recall() == []


def test_memories_of_a_branch_stay_on_it(s: Substrate, memory: Memory) -> None:
    memory.remember("tea for all")
    branch = s.branch.create("what-if")
    there = branch.memory
    there.remember("tea for some")
    assert sorted(texts(there, "tea")) == ["tea for all", "tea for some"]
    assert texts(memory, "tea") == ["tea for all"]


def test_memories_are_there_after_a_restart(store_uri: str) -> None:
    with Substrate.open(store_uri) as s:
        s.memory.remember("tea at four")
    with Substrate.open(store_uri) as s:
        assert texts(s.memory, "tea") == ["tea at four"]


# -------------------------------------------------------------- correcting, forgetting


def test_forgetting_removes_from_recall_and_keeps_in_history(s: Substrate, memory: Memory) -> None:
    id = memory.remember("Ada likes tea", kind="preference")
    before = s.fact.db()
    memory.forget(id, "she asked us to")
    assert memory.recall("tea") == memory.recall() == []
    assert texts(memory, "tea", db=before) == ["Ada likes tea"]
    assert texts(memory, "tea", db=s.fact.db().as_of(before.basis)) == ["Ada likes tea"]
    said, gone = memory.history(id)
    assert (said.text, str(gone.what), gone.why) == (
        "Ada likes tea", ":forgotten", "she asked us to"
    )  # fmt: skip


def test_forgetting_takes_what_would_hold_later_too(s: Substrate, memory: Memory) -> None:
    id = memory.remember("the office moves", valid_from="2090-01-01")
    memory.forget(id, "cancelled")
    assert memory.recall("office", db=s.fact.db().valid_at("2091-01-01")) == []


def test_a_correction_changes_what_it_says_from_a_date_on(s: Substrate, memory: Memory) -> None:
    id = memory.remember("the office is in Paris", valid_from="2026-01-01")
    memory.correct(id, "the office is in Oslo", valid_from="2026-03-01", why="they moved")
    db = s.fact.db()
    assert texts(memory, "office", db=db.valid_at("2026-02-01")) == ["the office is in Paris"]
    assert texts(memory, "office", db=db.valid_at("2026-04-01")) == ["the office is in Oslo"]
    assert [each.why for each in memory.history(id)] == [None, "they moved"]


def test_a_forgotten_memory_can_neither_be_forgotten_nor_corrected(memory: Memory) -> None:
    id = memory.remember("tea")
    memory.forget(id, "asked")
    for act in (lambda: memory.forget(id, "again"), lambda: memory.correct(id, "coffee")):
        with pytest.raises(EntityNotFound, match=f"no memory {id}"):
            act()


def test_an_erased_memory_is_gone_from_the_past_too(s: Substrate, memory: Memory) -> None:
    id = memory.remember("Ada likes tea")
    before = s.fact.db()
    s.audit.erase([id], reason="asked to be forgotten")
    assert memory.recall("tea") == memory.recall("tea", db=before) == []
    assert s.check() == []


# -------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda m: m.remember("…!"), "text with a word"),
        (lambda m: m.remember(b"tea"), "text with a word"),
        (lambda m: m.remember("tea", about="Ada"), "names no entity"),
        (lambda m: m.remember("tea", sure=None), "no value"),
        (lambda m: m.remember("tea", **{"memory/text": "x"}), "further fact"),
        (lambda m: m.forget(m.remember("tea"), " "), "no reason"),
        (lambda m: m.correct(m.remember("tea"), "x", why=""), "no reason"),
        (lambda m: m.recall(7), "no query"),
        (lambda m: m.recall("tea", limit=0), "limit of 0"),
        (lambda m: m.recall("tea", limit=True), "limit of True"),
    ],
)
def test_what_cannot_be_kept_or_found_is_refused_with_a_remedy(call: Any, says: str) -> None:
    with Substrate.open(":memory:") as s:
        memory = s.memory
        with pytest.raises(InputError, match=says) as refused:
            call(memory)
        assert refused.value.hint


def test_about_somebody_who_is_not_there_is_refused() -> None:
    with Substrate.open(":memory:") as s:
        s.fact.transact("[{:db/ident :user/name :db/unique :db.unique/identity}]")
        memory = s.memory
        memory.remember("tea")
        with pytest.raises(EntityNotFound):
            memory.remember("likes tea", about=["user/name", "Eve"])
        with pytest.raises(EntityNotFound):
            memory.recall("tea", about=["user/name", "Eve"])
