"""Bank, write skew, long fork, counter and set: each planted violation is found, and no other."""

from __future__ import annotations

import pytest

from persistence.values import Keyword
from tests.histories.finding import names
from tests.histories.history import History, HistoryError, parse
from tests.histories.invariants import check_bank, check_long_fork, check_pairs
from tests.histories.totals import check_counter, check_set

A, B, X = Keyword("a"), Keyword("b"), Keyword("x")


def committed(*values: str) -> History:
    """Transactions one after the other, each by its own process."""
    return parse(
        "".join(
            f"{{:process {n} :type :invoke :f :txn :value {value}}}"
            f"{{:process {n} :type :ok :f :txn :value {value}}}"
            for n, value in enumerate(values)
        )
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("[[:r :a 3] [:r :b 7]]", set(), id="sums-up"),
        pytest.param("[[:r :a 3] [:r :b 6]]", {"bank-total"}, id="money-is-gone"),
        pytest.param("[[:r :a -1] [:r :b 11]]", {"bank-negative"}, id="overdrawn"),
        pytest.param("[[:r :a 3] [:r :b nil]]", {"bank-missing"}, id="account-is-gone"),
        pytest.param("[[:r :a 3]]", set(), id="one-account-alone"),
        pytest.param("[[:r :a -3]]", {"bank-negative"}, id="one-account-overdrawn"),
        pytest.param("[[:r :a 3] [:w :a 2] [:r :b 8]]", set(), id="read-after-its-own-write"),
        pytest.param(
            "[[:r :a 3] [:r :b 9] [:w :a 2] [:w :b 10]]", {"bank-total"}, id="seen-by-a-transfer"
        ),
    ],
)
def test_bank(value: str, expected: set[str]) -> None:
    assert names(check_bank(committed(value), accounts=(A, B), total=10)) == expected


def test_what_an_aborted_transfer_saw_is_not_judged() -> None:
    history = parse("""
        {:process 0 :type :invoke :f :read :value [[:r :a nil] [:r :b nil]]}
        {:process 0 :type :fail   :f :read :value [[:r :a 1] [:r :b 1]]}""")
    assert check_bank(history, accounts=(A, B), total=10) == ()


def test_write_skew_is_seen_by_whoever_reads_the_pair() -> None:
    good = committed("[[:w :a 5]]", "[[:r :a 5] [:r :b -5]]", "[[:r :b nil] [:r :a 5]]")
    bad = committed("[[:r :a -5] [:r :b 4]]")
    assert check_pairs(good, pairs=[(A, B)]) == ()
    (finding,) = check_pairs(bad, pairs=[(A, B)])
    assert finding.name == "write-skew"
    assert "read :a as -5 and :b as 4" in finding.sentence


def test_the_invariant_of_pairs_is_the_callers() -> None:
    history = committed("[[:r :a 1] [:r :b 1]]")
    exclusive = check_pairs(history, pairs=[(A, B)], holds=lambda a, b: not (a and b))
    assert names(exclusive) == {"write-skew"}


def test_a_long_fork_needs_two_readers_in_opposite_orders() -> None:
    neither, first = "[[:r :a nil] [:r :b nil]]", "[[:r :a 1] [:r :b nil]]"
    second, both = "[[:r :b 1] [:r :a nil]]", "[[:r :a 1] [:r :b 1]]"
    group = [(A, B)]
    assert check_long_fork(committed(neither, first, both), groups=group) == ()
    assert check_long_fork(committed(neither, second, both), groups=group) == ()
    (finding,) = check_long_fork(committed(first, second), groups=group)
    assert finding.sentence == "#1 saw :a without :b, #3 the other way round"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param(["[[:add :x 2]]", "[[:add :x 3]]", "[[:r :x 5]]"], set(), id="exact"),
        pytest.param(
            ["[[:add :x 2]]", "[[:add :x 3]]", "[[:r :x 3]]"], {"counter-lost"}, id="lost"
        ),
        pytest.param(["[[:add :x 2]]", "[[:r :x 3]]"], {"counter-extra"}, id="extra"),
        pytest.param(["[[:r :x nil]]", "[[:add :x 2] [:r :x 2]]"], set(), id="its-own-add"),
        pytest.param(
            ["[[:add :x 1]]", "[[:add :x 2] [:r :x 2]]"], {"counter-lost"}, id="lost-below-its-own"
        ),
        pytest.param(["[[:add :x 2]]", "[[:r :y 0]]"], {"counter-unread"}, id="unread"),
        pytest.param(["[[:r :x 0]]", "[[:add :x 2]]"], {"counter-unread"}, id="read-too-early"),
    ],
)
def test_counter(values: list[str], expected: set[str]) -> None:
    assert names(check_counter(committed(*values), key=X)) == expected


@pytest.mark.parametrize("read", [1, 2, 3])
def test_an_increment_in_flight_may_be_seen_or_not(read: int) -> None:
    history = parse(f"""
        {{:process 0 :type :invoke :f :add  :value [[:add :x 1]]}}
        {{:process 0 :type :ok     :f :add  :value [[:add :x 1]]}}
        {{:process 1 :type :invoke :f :add  :value [[:add :x 2]]}}
        {{:process 2 :type :invoke :f :add  :value [[:add :x 7]]}}
        {{:process 2 :type :fail   :f :add  :value [[:add :x 7]]}}
        {{:process 3 :type :invoke :f :read :value [[:r :x nil]]}}
        {{:process 3 :type :ok     :f :read :value [[:r :x {read}]]}}""")
    # 2 lies between the bounds though no subset sums to it: bounds are all that is promised.
    assert check_counter(history, key=X) == ()


def test_a_failed_increment_must_not_be_seen() -> None:
    history = parse("""
        {:process 0 :type :invoke :f :add  :value [[:add :x 1]]}
        {:process 0 :type :fail   :f :add  :value [[:add :x 1]]}
        {:process 0 :type :invoke :f :read :value [[:r :x nil]]}
        {:process 0 :type :ok     :f :read :value [[:r :x 1]]}""")
    assert names(check_counter(history, key=X)) == {"counter-extra"}


def test_a_counter_that_falls_is_refused() -> None:
    with pytest.raises(HistoryError, match="counts down"):
        check_counter(committed("[[:add :x -1]]"), key=X)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param(
            ["[[:conj :x 1]]", "[[:conj :x 2]]", "[[:r :x [2 1]]]"], set(), id="all-there"
        ),
        pytest.param(["[[:conj :x 1]]", "[[:r :x #{1}]]"], set(), id="read-as-a-set"),
        pytest.param(
            ["[[:conj :x 1]]", "[[:conj :x 2]]", "[[:r :x [2]]]"], {"set-lost"}, id="lost"
        ),
        pytest.param(["[[:conj :x 1]]", "[[:r :x nil]]"], {"set-lost"}, id="all-lost"),
        pytest.param(
            ["[[:conj :x 1]]", "[[:r :x []]]", "[[:r :x [1]]]"], {"set-stale"}, id="stale"
        ),
        pytest.param(["[[:conj :x 1]]", "[[:r :x [1 9]]]"], {"set-unexpected"}, id="made-up"),
        pytest.param(
            ["[[:r :x [1]]]", "[[:conj :x 1]]", "[[:r :x [1]]]"], {"set-unexpected"}, id="too-early"
        ),
        pytest.param(["[[:conj :x 1]]", "[[:r :x [1 1]]]"], {"set-duplicate"}, id="twice"),
        pytest.param(["[[:r :x []]]", "[[:conj :x 1]]"], {"set-unread"}, id="unread"),
    ],
)
def test_set(values: list[str], expected: set[str]) -> None:
    assert names(check_set(committed(*values), key=X)) == expected


@pytest.mark.parametrize(
    ("status", "read", "expected"),
    [
        ("fail", "[]", set()),
        ("fail", "[1]", {"set-unexpected"}),
        ("info", "[]", set()),
        ("info", "[1]", set()),
    ],
)
def test_an_add_that_was_not_acknowledged(status: str, read: str, expected: set[str]) -> None:
    history = parse(f"""
        {{:process 0 :type :invoke   :f :add  :value [[:conj :x 1]]}}
        {{:process 0 :type :{status} :f :add  :value [[:conj :x 1]]}}
        {{:process 1 :type :invoke   :f :read :value [[:r :x nil]]}}
        {{:process 1 :type :ok       :f :read :value [[:r :x {read}]]}}""")
    assert names(check_set(history, key=X)) == expected
