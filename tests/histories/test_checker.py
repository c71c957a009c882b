"""Every anomaly, planted by hand in a list-append history, is found under its own name only.

The names are Adya's and Elle's; `cycles.py` says what they mean. Transactions overlap unless the
order in time is what the test is about.
"""

from __future__ import annotations

import pytest

from persistence.values import Keyword
from tests.histories.checker import check_append
from tests.histories.finding import names
from tests.histories.history import HistoryError, parse

CLEAN = """
{:process 0 :type :invoke :f :txn :value [[:append :x 1] [:r :y nil]]}
{:process 1 :type :invoke :f :txn :value [[:append :y 1] [:r :x nil]]}
{:process 0 :type :ok     :f :txn :value [[:append :x 1] [:r :y []]]}
{:process 1 :type :ok     :f :txn :value [[:append :y 1] [:r :x [1]]]}
{:process 2 :type :invoke :f :txn :value [[:r :x nil] [:append :x 2] [:r :x nil] [:r :y nil]]}
{:process 2 :type :ok     :f :txn :value [[:r :x [1]] [:append :x 2] [:r :x [1 2]] [:r :y [1]]]}
"""

# Two writers, in opposite orders on two keys.
G0 = """
{:process 0 :type :invoke :f :txn :value [[:append :x 1] [:append :y 1]]}
{:process 1 :type :invoke :f :txn :value [[:append :x 2] [:append :y 2]]}
{:process 0 :type :ok     :f :txn :value [[:append :x 1] [:append :y 1]]}
{:process 1 :type :ok     :f :txn :value [[:append :x 2] [:append :y 2]]}
{:process 2 :type :invoke :f :txn :value [[:r :x nil] [:r :y nil]]}
{:process 2 :type :ok     :f :txn :value [[:r :x [1 2]] [:r :y [2 1]]]}
"""

ABORTED_READ = """
{:process 0 :type :invoke :f :txn :value [[:append :x 1]]}
{:process 1 :type :invoke :f :txn :value [[:r :x nil]]}
{:process 0 :type :fail   :f :txn :value [[:append :x 1]]}
{:process 1 :type :ok     :f :txn :value [[:r :x [1]]]}
"""

# 2 is committed on top of the aborted 1; who reads it reads 1 too.
DIRTY_UPDATE = """
{:process 0 :type :invoke :f :txn :value [[:append :x 1]]}
{:process 0 :type :fail   :f :txn :value [[:append :x 1]]}
{:process 1 :type :invoke :f :txn :value [[:append :x 2]]}
{:process 1 :type :ok     :f :txn :value [[:append :x 2]]}
{:process 2 :type :invoke :f :txn :value [[:r :x nil]]}
{:process 2 :type :ok     :f :txn :value [[:r :x [1 2]]]}
"""

INTERMEDIATE_READ = """
{:process 0 :type :invoke :f :txn :value [[:append :x 1] [:append :x 2]]}
{:process 1 :type :invoke :f :txn :value [[:r :x nil]]}
{:process 0 :type :ok     :f :txn :value [[:append :x 1] [:append :x 2]]}
{:process 1 :type :ok     :f :txn :value [[:r :x [1]]]}
"""

# Each read what the other wrote.
G1C = """
{:process 0 :type :invoke :f :txn :value [[:append :x 1] [:r :y nil]]}
{:process 1 :type :invoke :f :txn :value [[:append :y 1] [:r :x nil]]}
{:process 0 :type :ok     :f :txn :value [[:append :x 1] [:r :y [1]]]}
{:process 1 :type :ok     :f :txn :value [[:append :y 1] [:r :x [1]]]}
"""

# Read skew: one write of process 1 is seen, the other is not.
G_SINGLE = """
{:process 0 :type :invoke :f :txn :value [[:r :x nil] [:r :y nil]]}
{:process 1 :type :invoke :f :txn :value [[:append :x 1] [:append :y 1]]}
{:process 1 :type :ok     :f :txn :value [[:append :x 1] [:append :y 1]]}
{:process 0 :type :ok     :f :txn :value [[:r :x []] [:r :y [1]]]}
"""

# A long fork: two readers see two unrelated writes in opposite orders.
G_NONADJACENT = """
{:process 0 :type :invoke :f :txn :value [[:append :x 1]]}
{:process 1 :type :invoke :f :txn :value [[:append :y 1]]}
{:process 2 :type :invoke :f :txn :value [[:r :x nil] [:r :y nil]]}
{:process 3 :type :invoke :f :txn :value [[:r :x nil] [:r :y nil]]}
{:process 0 :type :ok     :f :txn :value [[:append :x 1]]}
{:process 1 :type :ok     :f :txn :value [[:append :y 1]]}
{:process 2 :type :ok     :f :txn :value [[:r :x [1]] [:r :y []]]}
{:process 3 :type :ok     :f :txn :value [[:r :x []] [:r :y [1]]]}
"""

# Write skew: each misses the other's write. Nobody ever reads either write.
G2 = """
{:process 0 :type :invoke :f :txn :value [[:r :y nil] [:append :x 1]]}
{:process 1 :type :invoke :f :txn :value [[:r :x nil] [:append :y 1]]}
{:process 0 :type :ok     :f :txn :value [[:r :y []] [:append :x 1]]}
{:process 1 :type :ok     :f :txn :value [[:r :x []] [:append :y 1]]}
"""

LOST_UPDATE = """
{:process 0 :type :invoke :f :txn :value [[:r :x nil] [:append :x 1]]}
{:process 1 :type :invoke :f :txn :value [[:r :x nil] [:append :x 2]]}
{:process 0 :type :ok     :f :txn :value [[:r :x []] [:append :x 1]]}
{:process 1 :type :ok     :f :txn :value [[:r :x []] [:append :x 2]]}
{:process 2 :type :invoke :f :txn :value [[:r :x nil]]}
{:process 2 :type :ok     :f :txn :value [[:r :x [2]]]}
"""

OWN_WRITE_MISSED = """
{:process 0 :type :invoke :f :txn :value [[:append :x 1] [:r :x nil]]}
{:process 0 :type :ok     :f :txn :value [[:append :x 1] [:r :x []]]}
"""

UNREPEATABLE_READ = """
{:process 0 :type :invoke :f :txn :value [[:r :x nil] [:r :x nil]]}
{:process 1 :type :invoke :f :txn :value [[:append :x 1]]}
{:process 1 :type :ok     :f :txn :value [[:append :x 1]]}
{:process 0 :type :ok     :f :txn :value [[:r :x []] [:r :x [1]]]}
"""

OWN_WRITE_FORESEEN = """
{:process 0 :type :invoke :f :txn :value [[:r :x nil] [:append :x 1]]}
{:process 0 :type :ok     :f :txn :value [[:r :x [1]] [:append :x 1]]}
"""

DUPLICATE = """
{:process 0 :type :invoke :f :txn :value [[:append :x 1]]}
{:process 0 :type :ok     :f :txn :value [[:append :x 1]]}
{:process 1 :type :invoke :f :txn :value [[:r :x nil]]}
{:process 1 :type :ok     :f :txn :value [[:r :x [1 1]]]}
"""

INCOMPATIBLE = """
{:process 0 :type :invoke :f :txn :value [[:append :x 1]]}
{:process 1 :type :invoke :f :txn :value [[:append :x 2]]}
{:process 2 :type :invoke :f :txn :value [[:r :x nil]]}
{:process 3 :type :invoke :f :txn :value [[:r :x nil]]}
{:process 0 :type :ok     :f :txn :value [[:append :x 1]]}
{:process 1 :type :ok     :f :txn :value [[:append :x 2]]}
{:process 2 :type :ok     :f :txn :value [[:r :x [1 2]]]}
{:process 3 :type :ok     :f :txn :value [[:r :x [2]]]}
"""

GARBAGE = """
{:process 0 :type :invoke :f :txn :value [[:r :x nil]]}
{:process 0 :type :ok     :f :txn :value [[:r :x [7]]]}
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(CLEAN, set(), id="clean"),
        pytest.param("", set(), id="empty"),
        pytest.param(G0, {"G0"}, id="G0"),
        pytest.param(ABORTED_READ, {"G1a"}, id="aborted-read"),
        pytest.param(DIRTY_UPDATE, {"G1a", "dirty-update"}, id="dirty-update"),
        pytest.param(INTERMEDIATE_READ, {"G1b"}, id="intermediate-read"),
        pytest.param(G1C, {"G1c"}, id="G1c"),
        pytest.param(G_SINGLE, {"G-single"}, id="G-single"),
        pytest.param(G_NONADJACENT, {"G-nonadjacent"}, id="G-nonadjacent"),
        pytest.param(G2, {"G2-item"}, id="G2"),
        pytest.param(LOST_UPDATE, {"lost-update", "G-single"}, id="lost-update"),
        pytest.param(OWN_WRITE_MISSED, {"internal"}, id="own-write-missed"),
        pytest.param(UNREPEATABLE_READ, {"internal"}, id="unrepeatable-read"),
        pytest.param(OWN_WRITE_FORESEEN, {"internal"}, id="own-write-foreseen"),
        pytest.param(DUPLICATE, {"duplicate-elements"}, id="duplicate-elements"),
        pytest.param(INCOMPATIBLE, {"incompatible-order"}, id="incompatible-order"),
        pytest.param(GARBAGE, {"garbage-read"}, id="garbage-read"),
    ],
)
def test_a_planted_anomaly_is_found_by_its_name(text: str, expected: set[str]) -> None:
    assert names(check_append(parse(text))) == expected


@pytest.mark.parametrize("text", [G0, G1C, G_SINGLE, G_NONADJACENT, G2])
def test_an_anomaly_of_serializability_needs_no_order_in_time(text: str) -> None:
    assert names(check_append(parse(text), orders=())) == names(check_append(parse(text)))


def test_a_finding_says_who_and_why() -> None:
    (finding,) = check_append(parse(G_SINGLE))
    missed, seen = finding.cycle
    x, y = Keyword("x"), Keyword("y")
    assert (missed.before.process, missed.kind, missed.key, missed.after.process) == (0, "rw", x, 1)
    assert (seen.before.process, seen.kind, seen.key, seen.after.process) == (1, "wr", y, 0)
    assert missed.why == "#3 read :x as [], without 1, which #2 wrote"
    assert seen.why == "#2 wrote 1 to :y, which #3 read"
    assert finding.sentence.startswith("#3, #2 cannot be ordered")
    assert all(why in str(finding) for why in (missed.why, seen.why))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[:append :x 1] [:append :x 1]]", "not uniquely"),
        ("[[:append :x nil]]", "not uniquely"),
        ("[[:w :x 1]]", "only :append and :r"),
        ("[[:r :x 5]]", "which is no list"),
    ],
)
def test_a_history_that_breaks_the_rules_of_its_workload_is_refused(text: str, says: str) -> None:
    ops = (f"{{:process 0 :type {type} :f :txn :value {text}}}" for type in (":invoke", ":ok"))
    with pytest.raises(HistoryError, match=says):
        check_append(parse("".join(ops)))


def test_an_order_that_does_not_exist_is_refused() -> None:
    with pytest.raises(HistoryError, match="no such order: wallclock"):
        check_append(parse(CLEAN), orders=("wallclock",))
