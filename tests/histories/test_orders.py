"""What happened when, and what nobody knows: real time, processes, indeterminate transactions."""

from __future__ import annotations

import pytest

from tests.histories.checker import check_append, check_register
from tests.histories.finding import names
from tests.histories.history import parse

# Process 1 begins after process 0 was told that 1 is in, and does not see it.
STALE_READ = """
{:process 0 :type :invoke :f :txn :value [[:append :x 1]]}
{:process 0 :type :ok     :f :txn :value [[:append :x 1]]}
{:process 1 :type :invoke :f :txn :value [[:r :x nil]]}
{:process 1 :type :ok     :f :txn :value [[:r :x []]]}
{:process 2 :type :invoke :f :txn :value [[:r :x nil]]}
{:process 2 :type :ok     :f :txn :value [[:r :x [1]]]}
"""

OWN_STALE_READ = """
{:process 0 :type :invoke :f :txn :value [[:append :x 1]]}
{:process 0 :type :ok     :f :txn :value [[:append :x 1]]}
{:process 0 :type :invoke :f :txn :value [[:r :x nil]]}
{:process 0 :type :ok     :f :txn :value [[:r :x []]]}
"""

# 2 was begun after 1 was in, and yet goes below it.
OVERWRITTEN_IN_THE_PAST = """
{:process 0 :type :invoke :f :txn :value [[:append :x 1]]}
{:process 0 :type :ok     :f :txn :value [[:append :x 1]]}
{:process 1 :type :invoke :f :txn :value [[:append :x 2]]}
{:process 1 :type :ok     :f :txn :value [[:append :x 2]]}
{:process 2 :type :invoke :f :txn :value [[:r :x nil]]}
{:process 2 :type :ok     :f :txn :value [[:r :x [2 1]]]}
"""

READ_FROM_THE_FUTURE = """
{:process 0 :type :invoke :f :txn :value [[:r :x nil]]}
{:process 0 :type :ok     :f :txn :value [[:r :x [1]]]}
{:process 1 :type :invoke :f :txn :value [[:append :x 1]]}
{:process 1 :type :ok     :f :txn :value [[:append :x 1]]}
"""

# Process 0 misses 1's write, 1 misses 2's, and 2 had completed before 0 began.
MISSED_IN_A_ROW = """
{:process 1 :type :invoke :f :txn :value [[:append :x 1] [:r :y nil]]}
{:process 2 :type :invoke :f :txn :value [[:append :y 1]]}
{:process 2 :type :ok     :f :txn :value [[:append :y 1]]}
{:process 0 :type :invoke :f :txn :value [[:r :x nil]]}
{:process 0 :type :ok     :f :txn :value [[:r :x []]]}
{:process 1 :type :ok     :f :txn :value [[:append :x 1] [:r :y []]]}
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(STALE_READ, "G-single-realtime", id="stale-read"),
        pytest.param(OWN_STALE_READ, "G-single-process", id="own-stale-read"),
        pytest.param(OVERWRITTEN_IN_THE_PAST, "G0-realtime", id="overwritten-in-the-past"),
        pytest.param(READ_FROM_THE_FUTURE, "G1c-realtime", id="read-from-the-future"),
        pytest.param(MISSED_IN_A_ROW, "G2-item-realtime", id="missed-in-a-row"),
    ],
)
def test_an_order_in_time_that_is_broken_is_found_only_where_it_is_promised(
    text: str, expected: str
) -> None:
    assert names(check_append(parse(text))) == {expected}
    assert names(check_append(parse(text), orders=())) == set()


def test_the_order_of_processes_is_weaker_than_real_time() -> None:
    assert names(check_append(parse(OWN_STALE_READ), orders=("process",))) == {"G-single-process"}
    assert names(check_append(parse(STALE_READ), orders=("process",))) == set()


def test_transactions_that_overlap_have_no_order_in_time() -> None:
    history = parse("""
        {:process 1 :type :invoke :f :txn :value [[:r :x nil]]}
        {:process 0 :type :invoke :f :txn :value [[:append :x 1]]}
        {:process 0 :type :ok     :f :txn :value [[:append :x 1]]}
        {:process 1 :type :ok     :f :txn :value [[:r :x []]]}""")
    assert check_append(history) == ()


# A reader of 7 as the history goes on: nobody knows yet whether 7 is in.
@pytest.mark.parametrize("completion", ["", "{:process 0 :type :info :f :txn :value []}"])
def test_an_indeterminate_write_may_be_absent(completion: str) -> None:
    history = parse(f"""
        {{:process 0 :type :invoke :f :txn :value [[:append :x 7]]}} {completion}
        {{:process 1 :type :invoke :f :txn :value [[:r :x nil]]}}
        {{:process 1 :type :ok     :f :txn :value [[:r :x []]]}}""")
    assert check_append(history) == ()


def test_an_indeterminate_write_may_take_effect_late() -> None:
    history = parse("""
        {:process 0 :type :invoke :f :txn :value [[:append :x 7]]}
        {:process 0 :type :info   :f :txn :value [[:append :x 7]]}
        {:process 1 :type :invoke :f :txn :value [[:r :x nil]]}
        {:process 1 :type :ok     :f :txn :value [[:r :x []]]}
        {:process 2 :type :invoke :f :txn :value [[:r :x nil]]}
        {:process 2 :type :ok     :f :txn :value [[:r :x [7]]]}""")
    assert check_append(history) == ()


def test_a_process_does_not_wait_for_what_it_gave_up() -> None:
    history = parse("""
        {:process 0 :type :invoke :f :txn :value [[:append :x 7]]}
        {:process 0 :type :info   :f :txn :value [[:append :x 7]]}
        {:process 0 :type :invoke :f :txn :value [[:r :x nil]]}
        {:process 0 :type :ok     :f :txn :value [[:r :x []]]}
        {:process 0 :type :invoke :f :txn :value [[:r :x nil]]}
        {:process 0 :type :ok     :f :txn :value [[:r :x [7]]]}""")
    assert check_append(history) == ()


def test_an_indeterminate_write_that_was_read_stays() -> None:
    history = parse("""
        {:process 0 :type :invoke :f :txn :value [[:append :x 7]]}
        {:process 1 :type :invoke :f :txn :value [[:r :x nil]]}
        {:process 1 :type :ok     :f :txn :value [[:r :x [7]]]}
        {:process 2 :type :invoke :f :txn :value [[:r :x nil]]}
        {:process 2 :type :ok     :f :txn :value [[:r :x []]]}""")
    assert names(check_append(history)) == {"G-single-realtime"}


def test_an_indeterminate_transaction_of_which_a_part_was_read_committed_whole() -> None:
    history = parse("""
        {:process 0 :type :invoke :f :txn :value [[:append :x 7] [:append :y 8]]}
        {:process 1 :type :invoke :f :txn :value [[:r :x nil] [:r :y nil]]}
        {:process 1 :type :ok     :f :txn :value [[:r :x [7]] [:r :y []]]}""")
    assert names(check_append(history)) == {"G-single"}


def test_an_acknowledged_append_that_vanished_is_found_by_a_later_reader() -> None:
    history = parse("""
        {:process 0 :type :invoke :f :txn :value [[:append :x 1]]}
        {:process 0 :type :ok     :f :txn :value [[:append :x 1]]}
        {:process 1 :type :invoke :f :txn :value [[:append :x 2]]}
        {:process 1 :type :ok     :f :txn :value [[:append :x 2]]}
        {:process 2 :type :invoke :f :txn :value [[:r :x nil]]}
        {:process 2 :type :ok     :f :txn :value [[:r :x [2]]]}""")
    assert names(check_append(history)) == {"G0-realtime", "G-single-realtime"}


def test_registers_keep_real_time_too() -> None:
    history = parse("""
        {:process 0 :type :invoke :f :txn :value [[:w :x 1]]}
        {:process 0 :type :ok     :f :txn :value [[:w :x 1]]}
        {:process 1 :type :invoke :f :txn :value [[:r :x nil]]}
        {:process 1 :type :ok     :f :txn :value [[:r :x nil]]}""")
    assert names(check_register(history)) == {"G-single-realtime"}
    assert names(check_register(history, orders=())) == set()
