"""Caches: equal calls are made once, and the record says which were not."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence import FrozenClock, Keyword, Substrate
from persistence.effects import Run, Terminal, cache, drawing, named, redact
from persistence.errors import EffectFailed, InputError
from persistence.values import Map, identity
from tests.effects.ways import both_ways, outcomes

CACHED = Map({Keyword("cached"): True})


def counting(log: list[Any], fail: bool = False) -> Terminal:
    def search(query: Any) -> Any:
        log.append(query)
        if fail:
            raise LookupError("down")
        return [query]

    return Terminal("tools", {"tool/search": search})


@both_ways
def test_equal_calls_are_made_once_and_the_others_say_so(way: str) -> None:
    log: list[Any] = []
    calls = [("tool/search", {"query": query}) for query in ("a", "b", "a", "a")]
    found, trace = outcomes(way, [cache("tool/*"), counting(log)], calls)
    assert found == [("a",), ("b",), ("a",), ("a",)] and log == ["a", "b"]
    assert [step.verdict for step in trace] == [None, None, CACHED, CACHED]


@given(st.lists(st.sampled_from([1, 1.0, True, "1", None, (1,), ((1,),)]), max_size=12))
def test_calls_are_told_apart_as_values_are(queries: list[Any]) -> None:
    log: list[Any] = []
    run = Run("c", [cache("tool/*"), counting(log)])
    for query in queries:
        run.perform("tool/search", query=query)
    seen = [identity(query) for query in queries]
    assert [identity(query) for query in log] == list(dict.fromkeys(seen))


def test_failures_are_not_kept() -> None:
    log: list[Any] = []
    run = Run("c", [cache("tool/*"), counting(log, fail=True)])
    for _ in range(2):
        with pytest.raises(EffectFailed):
            run.perform("tool/search", query="a")
    assert log == ["a", "a"]


def test_an_answer_is_good_for_its_time_only() -> None:
    log: list[Any] = []
    clock = FrozenClock(0)
    run = Run("c", [cache("tool/*", ttl=2, clock=clock), counting(log)])
    for wait in (0, 1_999_999, 1, 1_999_999):
        clock.advance(wait)
        run.perform("tool/search", query="a")
    assert log == ["a", "a"]


def test_the_answers_used_least_lately_are_given_up() -> None:
    log: list[Any] = []
    run = Run("c", [cache("tool/*", size=2), counting(log)])
    for query in ("a", "b", "a", "c", "a", "b"):
        run.perform("tool/search", query=query)
    assert log == ["a", "b", "c", "b"]


def test_chance_and_time_are_never_kept() -> None:
    run = Run("c", [cache("*"), drawing(7)])
    assert run.random() != run.random()


def test_what_goes_to_another_handler_is_another_call() -> None:
    one = Terminal("one", {"ask": lambda: "one"})
    two = named("two", Terminal("two", {"ask": lambda: "two"}))
    run = Run("c", [cache("ask"), one, two])
    assert [
        run.perform("ask"),
        run.named("two").perform("ask"),
        run.mask("one").perform("ask"),
    ] == [
        "one",
        "two",
        "two",
    ]


@both_ways
def test_a_record_answers_too(store_uri: str, way: str) -> None:
    with Substrate.open(store_uri) as s:
        with s.effect.run("c", [counting([])]) as run:
            run.perform("tool/search", query="a")
        trace = s.effect.trace(run.id)
    log: list[Any] = []
    calls = [("tool/search", {"query": query}) for query in ("a", "b", "a")]
    found, again = outcomes(way, [cache("tool/*", of=trace), counting(log)], calls)
    assert found == [("a",), ("b",), ("a",)] and log == ["b"]
    assert [step.verdict for step in again] == [CACHED, None, CACHED]


def test_a_function_finds_records() -> None:
    log: list[Any] = []
    with Run("c", [counting([])]) as before:
        before.perform("tool/search", query="a")

    def find(call: Any) -> Any:
        return before.trace[0] if call.args["query"] == "a" else None

    run = Run("c", [cache("tool/*", of=find), counting(log)])
    assert [run.perform("tool/search", query=query) for query in "ab"] == [("a",), ("b",)]
    assert log == ["b"]


def test_calls_that_differ_in_a_secret_only_are_different_calls() -> None:
    login = Terminal("t", {"tool/login": lambda password: password[::-1]})
    run = Run("c", [redact(), cache("tool/*"), login])
    assert run.perform("tool/login", password="abcdefg") == "gfedcba"
    assert run.perform("tool/login", password="1234567") == "7654321"
    recorded = run.trace
    assert recorded[0].args == recorded[1].args
    again = Run("c", [cache("tool/*", of=recorded), login])
    assert again.perform("tool/login", password="xyz") == "zyx"


def test_threads_share_a_cache() -> None:
    log: list[Any] = []
    shared = cache("tool/*", size=8)
    wrong = []

    def work(n: int) -> None:
        run = Run("c", [shared, counting(log)])
        for i in range(200):
            query = (i * n) % 16
            if run.perform("tool/search", query=query) != (query,):
                wrong.append(query)

    threads = [threading.Thread(target=work, args=(n,)) for n in (1, 3, 5, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and set(log) == set(range(16))


@pytest.mark.parametrize("options", [{"size": 0}, {"ttl": 0}])
def test_a_cache_that_keeps_nothing_is_refused(options: Any) -> None:
    with pytest.raises(InputError):
        cache("*", **options)
