"""Histories are kept as EDN without loss, and nonsense is refused instead of judged."""

from __future__ import annotations

import doctest
import importlib
import threading
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence.values import Keyword
from tests.histories.history import History, HistoryError, Op, dump, lines, load, parse
from tests.histories.recorder import Recorder, merge

keys = st.integers() | st.text(max_size=4) | st.sampled_from([Keyword("x"), Keyword("a/b")])
reads = st.none() | keys | st.lists(keys, max_size=4).map(tuple)
mops = st.one_of(
    st.tuples(st.just("r"), keys, reads),
    st.tuples(st.sampled_from(["w", "append", "add", "conj"]), keys, keys),
    st.tuples(st.sampled_from(["transfer", "draw"]), keys, keys, st.integers()),
)


@st.composite
def histories(draw: st.DrawFn) -> History:
    """A few processes that invoke and complete in any order, and a nemesis between them."""
    recorder = Recorder(lambda: draw(st.integers(0, 10**18)))
    busy: set[int] = set()
    for process in draw(st.lists(st.integers(0, 3), max_size=12)):
        value = draw(st.lists(mops, max_size=3))
        kind = draw(st.sampled_from(["ok", "fail", "info"])) if process in busy else "invoke"
        recorder.record(process, kind, draw(st.sampled_from(["txn", "read"])), value)
        busy ^= {process}
        if draw(st.booleans()):
            recorder.record(Keyword("nemesis"), "info", "kill")
    return recorder.history()


@given(histories())
def test_a_history_written_and_read_is_the_same_history(history: History) -> None:
    assert parse("\n".join(lines(history.ops))) == history


def test_a_file_holds_one_operation_to_a_line(tmp_path: Path) -> None:
    recorder = Recorder(iter([70, 80]).__next__)
    recorder.record(0, "invoke", "txn", [("append", 1, 5), ("r", 1, None)])
    recorder.record(0, "ok", "txn", [("append", 1, 5), ("r", 1, (5,))])
    path = tmp_path / "history.edn"
    dump(recorder.history(), path)
    assert path.read_text().splitlines() == [
        "{:index 0 :process 0 :type :invoke :f :txn :value [[:append 1 5] [:r 1 nil]] :time 70}",
        "{:index 1 :process 0 :type :ok :f :txn :value [[:append 1 5] [:r 1 [5]]] :time 80}",
    ]
    assert load(path) == recorder.history()


def test_an_invocation_that_never_completed_is_indeterminate() -> None:
    (txn,) = parse("{:process 0 :type :invoke :f :txn :value [[:append :x 1]]}").transactions
    assert (txn.status, txn.complete, txn.mops) == ("info", None, (("append", Keyword("x"), 1),))


def test_what_an_indeterminate_transaction_read_is_not_believed() -> None:
    (txn,) = parse("""
        {:process 0 :type :invoke :f :txn :value [[:r :x nil]]}
        {:process 0 :type :info   :f :txn :value [[:r :x 7]]}""").transactions
    assert txn.mops == (("r", Keyword("x"), None),)


def test_operations_of_the_nemesis_are_kept_and_are_no_transactions() -> None:
    history = parse("{:process :nemesis :type :info :f :kill}")
    assert len(history.ops) == 1 and history.transactions == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{:process 0 :type :ok :f :txn}", "never invoked"),
        ("{:process 0 :type :invoke :f :txn} {:process 0 :type :invoke :f :txn}", "before it comp"),
        ("{:process 0 :f :txn}", "operation 0 has no type"),
        ("{:process 0 :type :invoke :f :txn :index 5}", "has the index 5"),
        ("{:process 0 :type :invoke :f :txn :value [[:w :x 1.0]]}", "not 1.0"),
        ("{:process 0 :type :invoke :f :txn :value [[:w :x true]]}", "not True"),
        ("[1]", "an operation is a map"),
    ],
)
def test_what_is_no_history_is_refused(text: str, says: str) -> None:
    with pytest.raises(HistoryError, match=says):
        parse(text)


def test_a_recorder_takes_operations_from_many_threads() -> None:
    recorder = Recorder(lambda: 0)

    def client(process: int) -> None:
        for n in range(50):
            recorder.record(process, "invoke", "txn", [("w", process, n)])
            recorder.record(process, "ok", "txn", [("w", process, n)])

    threads = [threading.Thread(target=client, args=(process,)) for process in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [txn.status for txn in recorder.history().transactions] == ["ok"] * 200


@given(histories(), st.data())
def test_what_several_processes_recorded_merges_to_what_happened(
    history: History, data: st.DataObject
) -> None:
    """Each process wrote its own file; with one clock the files tell the whole story."""
    ops = [attrs.evolve(op, time=op.index) for op in history.ops]
    files: dict[object, list[Op]] = {}
    for op in ops:
        files.setdefault(op.process, []).append(op)
    parts = data.draw(st.permutations(list(files.values())))
    assert merge(parts) == History(ops)


@pytest.mark.parametrize("name", ["history", "recorder", "graph", "checker"])
def test_examples_in_docstrings_are_true(name: str) -> None:
    module = importlib.import_module(f"tests.histories.{name}")
    result = doctest.testmod(module)
    assert result.attempted > 0 and result.failed == 0
