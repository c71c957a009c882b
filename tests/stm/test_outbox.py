"""Effects are performed once their facts are committed: at least once, by one, with one key."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from persistence import Substrate
from persistence.errors import TransactionError, ValueRefused
from persistence.stm import Transaction
from persistence.values import Keyword

SPAWN = multiprocessing.get_context("spawn")
DONE, FAILED, PENDING = Keyword("done"), Keyword("failed"), Keyword("pending")


class Seen:
    """A handler that remembers what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[dict[str, Any], UUID]] = []

    def __call__(self, args: Mapping[str, Any], key: UUID) -> int:
        self.calls.append((dict(args), key))
        return len(self.calls)

    @property
    def numbers(self) -> list[Any]:
        return [args["n"] for args, _ in self.calls]


@pytest.fixture
def seen() -> Seen:
    return Seen()


def ask(*numbers: int) -> Callable[[Transaction], list[UUID]]:
    return lambda tx: [tx.effect("note", n=n) for n in numbers]


def test_an_effect_is_performed_after_its_commit(s: Substrate, seen: Seen) -> None:
    s.txn.handler("note", seen)

    def body(tx: Transaction) -> UUID:
        tx.transact([{"db/id": "x", "task/name": "write"}])
        key = tx.effect("note", n=1, to=["a", {"b": None}])
        assert seen.calls == []
        return key

    key = s.txn.run(body)
    assert [k for _, k in seen.calls] == [key]
    assert seen.calls[0][0]["to"] == ("a", {"b": None})
    (done,) = s.txn.effects()
    assert (done.state, done.result, done.attempts, done.error) == (DONE, 1, 1, None)
    assert s.fact.db().get(["effect/key", key], "effect/state") is DONE
    assert s.check() == []


def test_the_facts_and_the_effect_are_one_transaction(s: Substrate) -> None:
    s.txn.run(ask(0))
    with s.txn.once() as tx:
        e = tx.transact([{"db/id": "x", "task/name": "write"}]).tempids["x"]
        tx.effect("note", n=1)
    asked = s.txn.effects("pending")[-1]
    assert tx.report is not None
    assert asked.t == tx.report.t
    assert {datom.e for datom in tx.report.tx_data} == {e, asked.entity}


def test_without_a_handler_it_waits_for_deliver(s: Substrate, seen: Seen) -> None:
    s.txn.run(ask(1))
    assert s.txn.deliver() == []
    assert [each.state for each in s.txn.effects()] == [PENDING]
    stop = s.txn.handler("note", seen)
    assert [each.state for each in s.txn.deliver()] == [DONE]
    assert s.txn.deliver() == []
    stop()
    s.txn.run(ask(2))
    assert seen.numbers == [1]


def test_the_oldest_is_performed_first(s: Substrate, seen: Seen) -> None:
    s.txn.run(ask(1, 2, 3))
    s.txn.run(ask(4))
    s.txn.run(ask(5, 6))
    s.txn.handler("note", seen)
    s.txn.deliver()
    assert seen.numbers == [1, 2, 3, 4, 5, 6]


def test_every_form_of_the_call_delivers(s: Substrate, seen: Seen) -> None:
    s.txn.handler("note", seen)
    with s.txn.once() as tx:
        tx.effect("note", n=1)
    for attempt in s.txn.attempts():
        with attempt as tx:
            tx.effect("note", n=2)
    assert seen.numbers == [1, 2]


def test_an_aborted_body_leaves_no_effect(s: Substrate, seen: Seen) -> None:
    s.txn.handler("note", seen)

    def body(tx: Transaction) -> None:
        tx.effect("note", n=1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        s.txn.run(body)
    assert (seen.calls, s.txn.effects()) == ([], [])


def test_an_attempt_that_met_a_conflict_leaves_no_effect(s: Substrate, seen: Seen) -> None:
    s.txn.handler("note", seen)
    s.fact.transact([["db/add", 1, "n", 0]])
    attempts = []

    def body(tx: Transaction) -> None:
        attempts.append(tx.get(1, "n"))
        tx.effect("note", n=len(attempts))
        if len(attempts) == 1:
            s.fact.transact([["db/add", 1, "n", 1]])

    s.txn.run(body)
    assert seen.numbers == [2]
    assert len(s.txn.effects()) == 1


def test_a_nested_transaction_that_is_rolled_back_leaves_no_effect(
    s: Substrate, seen: Seen
) -> None:
    s.txn.handler("note", seen)

    def body(tx: Transaction) -> None:
        with pytest.raises(ZeroDivisionError), tx.nested() as child:
            child.effect("note", n=1)
            raise ZeroDivisionError
        tx.or_else(lambda one: one.effect("note", n=2) and one.retry(), ask(3))
        tx.run(ask(4))

    s.txn.run(body)
    assert seen.numbers == [3, 4]


def test_a_handler_that_raises_is_called_again_and_then_given_up(s: Substrate) -> None:
    def fail(args: Mapping[str, Any], key: UUID) -> None:
        raise OSError("the line is dead")

    s.txn.handler("note", fail, attempts=2)
    s.txn.run(ask(1))
    (first,) = s.txn.effects()
    assert (first.state, first.attempts, first.error) == (PENDING, 1, "OSError: the line is dead")
    (second,) = s.txn.deliver()
    assert (second.state, second.attempts, second.key) == (FAILED, 2, first.key)
    assert s.txn.deliver() == []
    assert s.txn.effects("failed") == [second]


def test_one_failure_does_not_hold_up_the_others(s: Substrate) -> None:
    def sometimes(args: Mapping[str, Any], key: UUID) -> Any:
        return 6 // args["n"]

    s.txn.run(ask(0, 3))
    s.txn.handler("note", sometimes)
    assert [(each.state, each.result) for each in s.txn.deliver()] == [(PENDING, None), (DONE, 2)]


def test_a_second_try_that_works_leaves_no_error(s: Substrate) -> None:
    answers: list[Any] = [OSError("busy"), "sent"]

    def flaky(args: Mapping[str, Any], key: UUID) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    s.txn.handler("note", flaky)
    s.txn.run(ask(1))
    (done,) = s.txn.deliver()
    assert (done.state, done.attempts, done.result, done.error) == (DONE, 2, "sent", None)
    assert s.txn.effects() == [done]


def test_a_result_that_is_no_value_is_not_performed_again(s: Substrate) -> None:
    s.txn.handler("note", lambda args, key: object())
    s.txn.run(ask(1))
    (done,) = s.txn.effects()
    assert done.state is DONE
    assert done.error is not None and done.error.startswith("done, but its result is lost")


def test_an_argument_that_is_no_value_is_refused_in_the_body(s: Substrate) -> None:
    with pytest.raises(ValueRefused):
        s.txn.run(lambda tx: tx.effect("note", n=object()))
    with pytest.raises(TransactionError, match="0 attempts"):
        s.txn.handler("note", print, attempts=0)


def test_a_handler_may_ask_for_more(s: Substrate, seen: Seen) -> None:
    def first(args: Mapping[str, Any], key: UUID) -> None:
        s.txn.run(ask(args["n"] + 1))
        assert s.txn.deliver() == []  # it belongs to the delivery under way

    s.txn.handler("note", seen)
    s.txn.handler("begin", first)
    s.txn.run(lambda tx: tx.effect("begin", n=1))
    assert seen.numbers == [2]
    assert [each.state for each in s.txn.effects()] == [DONE, DONE]


def test_validity_of_the_body_is_not_that_of_its_effects(s: Substrate, seen: Seen) -> None:
    s.txn.handler("note", seen)
    s.txn.run(ask(1), valid_from="2000-01-01", valid_to="2001-01-01")
    assert seen.numbers == [1]


def test_effects_of_a_branch_are_performed_there(s: Substrate, seen: Seen) -> None:
    s.txn.run(ask(1))
    branch = s.branch.create("what-if")
    branch.txn.run(ask(2))
    branch.txn.handler("note", seen)
    assert [each.args["n"] for each in branch.txn.deliver()] == [2]
    assert [each.args["n"] for each in s.txn.effects("pending")] == [1]


def test_threads_that_deliver_perform_each_effect_once(s: Substrate) -> None:
    inside, most, keys = [0], [0], []
    guard = threading.Lock()

    def handler(args: Mapping[str, Any], key: UUID) -> None:
        with guard:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        keys.append(key)
        with guard:
            inside[0] -= 1

    s.txn.run(ask(*range(12)))
    s.txn.handler("note", handler)
    start = threading.Barrier(4)

    def deliver(_: int) -> int:
        start.wait()
        return len(s.txn.deliver())

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(deliver, range(4))) == 12
    assert (len(keys), len(set(keys)), most) == (12, 12, [1])


def write_down(path: str) -> Callable[[Mapping[str, Any], UUID], None]:
    """A handler that appends what it does to a file, in one write of the system."""

    def handler(args: Mapping[str, Any], key: UUID) -> None:
        with open(path, "ab", buffering=0) as out:
            out.write(f"begin {args['n']} {key}\n".encode())
            out.write(f"end {args['n']} {key}\n".encode())

    return handler


def deliver(uri: str, path: str, start: Any) -> None:
    with Substrate.open(uri) as s:
        s.txn.handler("note", write_down(path))
        start.wait()
        for _ in range(5):
            s.txn.deliver()


def perform_and_die(uri: str, path: str) -> None:
    """Is killed between doing and writing down that it was done."""
    with Substrate.open(uri) as s:

        def handler(args: Mapping[str, Any], key: UUID) -> None:
            write_down(path)(args, key)
            os.kill(os.getpid(), signal.SIGKILL)

        s.txn.handler("note", handler)
        s.txn.deliver()


def test_two_processes_perform_one_at_a_time(store_uri: str, tmp_path: Path) -> None:
    path = str(tmp_path / "done.txt")
    Path(path).touch()
    with Substrate.open(store_uri) as s:
        s.txn.run(ask(*range(20)))
        start = SPAWN.Barrier(3)
        workers = [SPAWN.Process(target=deliver, args=(store_uri, path, start)) for _ in range(2)]
        for worker in workers:
            worker.start()
        start.wait()
        for worker in workers:
            worker.join()
        assert [worker.exitcode for worker in workers] == [0, 0]
        lines = Path(path).read_text().splitlines()
        assert [line.split()[:2] for line in lines] == [
            [word, str(n)] for n in range(20) for word in ("begin", "end")
        ]
        assert {each.state for each in s.txn.effects()} == {DONE}


def test_what_a_killed_performer_did_is_done_again_with_the_same_key(
    store_uri: str, tmp_path: Path, seen: Seen
) -> None:
    path = tmp_path / "done.txt"
    with Substrate.open(store_uri) as s:
        keys = s.txn.run(ask(1, 2))
        process = SPAWN.Process(target=perform_and_die, args=(store_uri, str(path)))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert path.read_text().splitlines()[-1] == f"end 1 {keys[0]}"
        assert [each.state for each in s.txn.effects()] == [PENDING, PENDING]
        s.txn.handler("note", seen)
        s.txn.deliver()
        assert seen.calls == [({"n": 1}, keys[0]), ({"n": 2}, keys[1])]


def ask_and_die(uri: str, told: Connection) -> None:
    with Substrate.open(uri) as s:
        told.send(s.txn.run(ask(7)))
        told.recv()  # until it is killed


def test_an_effect_outlives_the_process_that_asked(store_uri: str, seen: Seen) -> None:
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=ask_and_die, args=(store_uri, theirs))
    process.start()
    (key,) = ours.recv()
    process.kill()
    process.join()
    with Substrate.open(store_uri) as s:
        s.txn.handler("note", seen)
        s.txn.deliver()
        assert seen.calls == [({"n": 7}, key)]
