"""Every anomaly, planted by hand in an rw-register history, is found under its own name only."""

from __future__ import annotations

import pytest

from tests.histories.checker import check_register
from tests.histories.finding import names
from tests.histories.history import HistoryError, parse

CLEAN = """
{:process 0 :type :invoke :f :txn :value [[:r :x nil] [:w :x 1] [:r :x nil]]}
{:process 1 :type :invoke :f :txn :value [[:r :x nil] [:w :x 2] [:w :x 3]]}
{:process 0 :type :ok     :f :txn :value [[:r :x nil] [:w :x 1] [:r :x 1]]}
{:process 1 :type :ok     :f :txn :value [[:r :x 1] [:w :x 2] [:w :x 3]]}
{:process 2 :type :invoke :f :txn :value [[:r :x nil]]}
{:process 2 :type :ok     :f :txn :value [[:r :x 3]]}
"""

ABORTED_READ = """
{:process 0 :type :invoke :f :txn :value [[:w :x 1]]}
{:process 1 :type :invoke :f :txn :value [[:r :x nil]]}
{:process 0 :type :fail   :f :txn :value [[:w :x 1]]}
{:process 1 :type :ok     :f :txn :value [[:r :x 1]]}
"""

INTERMEDIATE_READ = """
{:process 0 :type :invoke :f :txn :value [[:w :x 1] [:w :x 2]]}
{:process 1 :type :invoke :f :txn :value [[:r :x nil]]}
{:process 0 :type :ok     :f :txn :value [[:w :x 1] [:w :x 2]]}
{:process 1 :type :ok     :f :txn :value [[:r :x 1]]}
"""

G1C = """
{:process 0 :type :invoke :f :txn :value [[:w :x 1] [:r :y nil]]}
{:process 1 :type :invoke :f :txn :value [[:w :y 1] [:r :x nil]]}
{:process 0 :type :ok     :f :txn :value [[:w :x 1] [:r :y 1]]}
{:process 1 :type :ok     :f :txn :value [[:w :y 1] [:r :x 1]]}
"""

# Read skew: nil comes before 1.
G_SINGLE = """
{:process 0 :type :invoke :f :txn :value [[:r :x nil] [:r :y nil]]}
{:process 1 :type :invoke :f :txn :value [[:w :x 1] [:w :y 1]]}
{:process 1 :type :ok     :f :txn :value [[:w :x 1] [:w :y 1]]}
{:process 0 :type :ok     :f :txn :value [[:r :x nil] [:r :y 1]]}
"""

G_NONADJACENT = """
{:process 0 :type :invoke :f :txn :value [[:w :x 1]]}
{:process 1 :type :invoke :f :txn :value [[:w :y 1]]}
{:process 2 :type :invoke :f :txn :value [[:r :x nil] [:r :y nil]]}
{:process 3 :type :invoke :f :txn :value [[:r :x nil] [:r :y nil]]}
{:process 0 :type :ok     :f :txn :value [[:w :x 1]]}
{:process 1 :type :ok     :f :txn :value [[:w :y 1]]}
{:process 2 :type :ok     :f :txn :value [[:r :x 1] [:r :y nil]]}
{:process 3 :type :ok     :f :txn :value [[:r :x nil] [:r :y 1]]}
"""

G2 = """
{:process 0 :type :invoke :f :txn :value [[:r :y nil] [:w :x 1]]}
{:process 1 :type :invoke :f :txn :value [[:r :x nil] [:w :y 1]]}
{:process 0 :type :ok     :f :txn :value [[:r :y nil] [:w :x 1]]}
{:process 1 :type :ok     :f :txn :value [[:r :x nil] [:w :y 1]]}
"""

# Which of the two came last, no register tells: each misses the other, hence G2-item.
LOST_UPDATE = """
{:process 0 :type :invoke :f :txn :value [[:r :x nil] [:w :x 1]]}
{:process 1 :type :invoke :f :txn :value [[:r :x nil] [:w :x 2]]}
{:process 0 :type :ok     :f :txn :value [[:r :x nil] [:w :x 1]]}
{:process 1 :type :ok     :f :txn :value [[:r :x nil] [:w :x 2]]}
"""

INTERNAL = """
{:process 0 :type :invoke :f :txn :value [[:w :x 1] [:r :x nil]]}
{:process 0 :type :ok     :f :txn :value [[:w :x 1] [:r :x nil]]}
"""

OWN_WRITE_FORESEEN = """
{:process 0 :type :invoke :f :txn :value [[:r :x nil] [:w :x 1]]}
{:process 0 :type :ok     :f :txn :value [[:r :x 1] [:w :x 1]]}
"""

GARBAGE = """
{:process 0 :type :invoke :f :txn :value [[:r :x nil]]}
{:process 0 :type :ok     :f :txn :value [[:r :x 7]]}
"""

# 1 → 2 by process 0, and 2 → 1 by process 1.
CYCLIC_VERSIONS = """
{:process 0 :type :invoke :f :txn :value [[:r :x nil] [:w :x 2]]}
{:process 1 :type :invoke :f :txn :value [[:r :x nil] [:w :x 1]]}
{:process 0 :type :ok     :f :txn :value [[:r :x 1] [:w :x 2]]}
{:process 1 :type :ok     :f :txn :value [[:r :x 2] [:w :x 1]]}
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(CLEAN, set(), id="clean"),
        pytest.param(ABORTED_READ, {"G1a"}, id="aborted-read"),
        pytest.param(INTERMEDIATE_READ, {"G1b"}, id="intermediate-read"),
        pytest.param(G1C, {"G1c"}, id="G1c"),
        pytest.param(G_SINGLE, {"G-single"}, id="G-single"),
        pytest.param(G_NONADJACENT, {"G-nonadjacent"}, id="G-nonadjacent"),
        pytest.param(G2, {"G2-item"}, id="G2"),
        pytest.param(LOST_UPDATE, {"lost-update", "G2-item"}, id="lost-update"),
        pytest.param(INTERNAL, {"internal"}, id="internal"),
        pytest.param(OWN_WRITE_FORESEEN, {"internal"}, id="own-write-foreseen"),
        pytest.param(GARBAGE, {"garbage-read"}, id="garbage-read"),
        pytest.param(CYCLIC_VERSIONS, {"cyclic-versions", "G1c"}, id="cyclic-versions"),
    ],
)
def test_a_planted_anomaly_is_found_by_its_name(text: str, expected: set[str]) -> None:
    assert names(check_register(parse(text))) == expected
    assert names(check_register(parse(text), orders=())) == expected


# Process 2 meets x as 1 and then as 2, process 3 meets y the other way round.
OPPOSITE_ORDERS = """
{:process 0 :type :invoke :f :txn :value [[:w :x 1] [:w :y 1]]}
{:process 1 :type :invoke :f :txn :value [[:w :x 2] [:w :y 2]]}
{:process 2 :type :invoke :f :txn :value [[:r :x nil]]}
{:process 3 :type :invoke :f :txn :value [[:r :y nil]]}
{:process 2 :type :ok     :f :txn :value [[:r :x 1]]}
{:process 3 :type :ok     :f :txn :value [[:r :y 2]]}
{:process 2 :type :invoke :f :txn :value [[:r :x nil]]}
{:process 3 :type :invoke :f :txn :value [[:r :y nil]]}
{:process 2 :type :ok     :f :txn :value [[:r :x 2]]}
{:process 3 :type :ok     :f :txn :value [[:r :y 1]]}
{:process 0 :type :ok     :f :txn :value [[:w :x 1] [:w :y 1]]}
{:process 1 :type :ok     :f :txn :value [[:w :x 2] [:w :y 2]]}
"""


@pytest.mark.parametrize("key_order", ["process", "realtime"])
def test_a_promised_order_of_each_key_makes_dirty_writes_known(key_order: str) -> None:
    history = parse(OPPOSITE_ORDERS)
    assert names(check_register(history, orders=())) == set()
    found = names(check_register(history, orders=(), key_order=key_order))
    assert found == {"G0", "G-single"}


def test_a_register_that_goes_back_in_time_has_no_order_of_versions() -> None:
    history = parse("""
        {:process 0 :type :invoke :f :txn :value [[:w :x 1]]}
        {:process 0 :type :ok     :f :txn :value [[:w :x 1]]}
        {:process 1 :type :invoke :f :txn :value [[:w :x 2]]}
        {:process 1 :type :ok     :f :txn :value [[:w :x 2]]}
        {:process 2 :type :invoke :f :txn :value [[:r :x nil]]}
        {:process 2 :type :ok     :f :txn :value [[:r :x 1]]}""")
    assert names(check_register(history)) == set()
    assert names(check_register(history, key_order="realtime")) == {"cyclic-versions"}


def test_a_register_that_is_nil_again_has_no_order_of_versions() -> None:
    history = parse("""
        {:process 0 :type :invoke :f :txn :value [[:w :x 1]]}
        {:process 0 :type :ok     :f :txn :value [[:w :x 1]]}
        {:process 1 :type :invoke :f :txn :value [[:r :x nil]]}
        {:process 1 :type :ok     :f :txn :value [[:r :x nil]]}""")
    assert names(check_register(history, key_order="realtime")) == {"cyclic-versions"}


def test_an_indeterminate_write_counts_once_it_was_read() -> None:
    text = """
        {:process 0 :type :invoke :f :txn :value [[:w :x 7] [:w :y 8]]}
        {:process 1 :type :invoke :f :txn :value [[:r :x nil] [:r :y nil]]}
        {:process 1 :type :ok     :f :txn :value [[:r :x SEEN] [:r :y nil]]}"""
    assert names(check_register(parse(text.replace("SEEN", "7")))) == {"G-single"}
    assert names(check_register(parse(text.replace("SEEN", "nil")))) == set()


@pytest.mark.parametrize("value", ["[[:w :x 1] [:w :x 1]]", "[[:w :x nil]]", "[[:append :x 1]]"])
def test_a_history_that_breaks_the_rules_of_its_workload_is_refused(value: str) -> None:
    with pytest.raises(HistoryError):
        check_register(parse(f"{{:process 0 :type :invoke :f :txn :value {value}}}"))


def test_an_order_of_keys_that_does_not_exist_is_refused() -> None:
    with pytest.raises(HistoryError, match="no such order: wallclock"):
        check_register(parse(CLEAN), key_order="wallclock")
