"""A witness cosigns what continues what it saw, and nothing else; it never goes back."""

from __future__ import annotations

import random
import select
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPException
from pathlib import Path

import apsw
import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence.audit import note
from persistence.audit.note import NoteError
from persistence.audit.submission import PROOF_LINES, Submission
from persistence.audit.witness import ANSWER_BYTES, Witness, cosign_all, submit
from persistence.audit.witness_server import BODY_BYTES, listen, url_of, witness_app
from persistence.audit.witness_state import Evidence, State
from persistence.clock import FrozenClock
from persistence.errors import (
    AuditError,
    InputError,
    NewerStore,
    NotAStore,
    StoreError,
    UnknownKey,
    WitnessError,
)
from persistence.substrate import Substrate
from tests.audit import independent
from tests.audit.witnessing import (
    KNOWN,
    LIMIT_S,
    LOG_KEY,
    NOW_S,
    ORIGIN,
    WITNESS_KEY,
    Answer,
    Log,
    key_file,
    process,
    request,
    running,
)

LOG = Log()
FORK = Log(history=", retold", fork=5)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "witness.db"


@pytest.fixture
def witness(state: Path) -> Iterator[Witness]:
    with running(state) as serving:
        yield serving


@pytest.fixture(scope="module")
def at_seven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Witness]:
    """One witness for many bodies that leave it as it is; it has seen seven entries."""
    with running(tmp_path_factory.mktemp("at-seven") / "witness.db") as serving:
        assert request(serving.url, LOG.submission(0, 7)).status == 200
        yield serving


def evidence(state: Path) -> list[Evidence]:
    kept = State(state, FrozenClock(0))
    try:
        return kept.evidence()
    finally:
        kept.close()


def held(state: Path) -> int:
    kept = State(state, FrozenClock(0))
    try:
        latest = kept.held(ORIGIN)
        return latest.checkpoint.size if latest else 0
    finally:
        kept.close()


def times(text: str) -> list[int]:
    return [time_s for _, time_s in note.cosignatures(text, [WITNESS_KEY.verifier])]


# What it answers, status by status.


def test_a_checkpoint_that_continues_the_last_one_is_cosigned_at_the_clocks_time(
    witness: Witness, state: Path
) -> None:
    for old, new in [(0, 3), (3, 3), (3, 20), (20, 64)]:
        answer = request(witness.url, LOG.submission(old, new))
        assert answer.status == 200
        assert times(note.attach(LOG.note(new), answer.text)) == [NOW_S]
    assert held(state) == 64


def test_a_log_may_begin_with_no_entries(witness: Witness) -> None:
    statuses = [
        request(witness.url, LOG.submission(old, new)).status
        for old, new in [(0, 0), (0, 0), (0, 4)]
    ]
    assert statuses == [200, 200, 200]


def submission(old: object = 0, proof: str = "", checkpoint: str = "") -> bytes:
    return f"old {old}\n{proof}\n{checkpoint or LOG.note(3)}".encode()


HASH = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"


@pytest.mark.parametrize(
    "body",
    {
        "nothing": b"",
        "no UTF-8": b"\xff" + submission(),
        "no old size": b"\n" + LOG.note(3).encode(),
        "a size with a leading zero": submission("01"),
        "a size with a sign": submission("+1"),
        "a size that is no number": submission("three"),
        "a size in other digits": submission("٣"),
        "a size of 2^63": submission(1 << 63),
        "carriage returns": submission().replace(b"\n", b"\r\n"),
        "a proof line that is no base64": submission(1, "###\n"),
        "a proof line of 31 bytes": submission(1, "A" * 41 + "==\n"),
        "a proof line in another spelling": submission(1, HASH.replace("A=", "B=")),
        "64 proof lines": submission(1, HASH * (PROOF_LINES + 1)),
        "no checkpoint": b"old 0\n\n",
        "no signature": submission(checkpoint=LOG.note(3).partition("\n\n")[0] + "\n"),
        "a note that is no checkpoint": submission(checkpoint="tea\n\n— tea AAAAAAAA\n"),
        "a checkpoint of size 0 with a root": submission(
            checkpoint=LOG.note(3).replace("\n3\n", "\n0\n")
        ),
        "a checkpoint cut off": submission()[:-1],
        "a size over that of the checkpoint": LOG.submission(4, 3),
    }.items(),
    ids=lambda case: case[0],
)
def test_what_is_no_submission_is_a_bad_request(at_seven: Witness, body: tuple[str, bytes]) -> None:
    assert request(at_seven.url, body[1]).status == 400


@pytest.mark.parametrize(
    "checkpoint",
    {
        "of another key": Log(key=key_file("log", ORIGIN, 9)).note(3),
        "of another name": LOG.note(3, name="log.example/other"),
        "changed after it was signed": LOG.note(3).replace("\n3\n", "\n4\n"),
    }.items(),
    ids=lambda case: case[0],
)
def test_a_checkpoint_that_no_known_key_signed_is_forbidden(
    at_seven: Witness, checkpoint: tuple[str, str]
) -> None:
    assert request(at_seven.url, submission(checkpoint=checkpoint[1])).status == 403


def test_signatures_of_strangers_are_ignored_and_not_stored(witness: Witness, state: Path) -> None:
    stranger = key_file("log", "stranger.example", 9)
    signed = note.attach(LOG.note(3), Log(key=stranger).note(3).partition("\n\n")[2])
    assert "stranger.example" in signed
    assert request(witness.url, submission(checkpoint=signed)).status == 200
    kept = State(state, FrozenClock(0))
    latest = kept.held(ORIGIN)
    kept.close()
    assert latest is not None and latest.note == LOG.note(3)


def test_an_unknown_log_is_not_found(at_seven: Witness) -> None:
    answer = request(at_seven.url, submission(checkpoint=LOG.note(3, origin="log.example/else")))
    assert answer.status == 404


def test_another_size_to_go_on_from_is_a_conflict_that_tells_the_right_one(
    witness: Witness,
) -> None:
    assert request(witness.url, LOG.submission(2, 9)).size == 0
    assert request(witness.url, LOG.submission(0, 7)).status == 200
    assert [request(witness.url, LOG.submission(old, 9)).size for old in (0, 6, 8)] == [7, 7, 7]
    assert request(witness.url, LOG.submission(5, 5)).size == 7  # it never goes back


@pytest.mark.parametrize(
    ("old", "new", "proof"),
    [
        (0, 7, [bytes(32)]),
        (7, 7, [bytes(32)]),
        (7, 20, []),
        (7, 20, LOG.proof(6, 20)),
        (7, 20, LOG.proof(7, 21)),
        (7, 20, [*LOG.proof(7, 20), bytes(32)]),
        (7, 20, [bytes(32)] * PROOF_LINES),
    ],
)
def test_a_proof_that_does_not_hold_is_unprocessable(
    witness: Witness, state: Path, old: int, new: int, proof: list[bytes]
) -> None:
    if old:
        assert request(witness.url, LOG.submission(0, old)).status == 200
    assert request(witness.url, Submission(old, tuple(proof), LOG.note(new)).body).status == 422
    assert held(state) == old


@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "not announced"])
def test_a_body_over_the_limit_is_refused_unread(witness: Witness, chunked: bool) -> None:
    body = submission() + b"x" * BODY_BYTES
    sent = iter([body]) if chunked else body
    assert request(witness.url, sent, chunked=chunked).status == 413
    assert request(witness.url, LOG.submission(0, 3)).status == 200


def test_only_what_is_there_is_answered(at_seven: Witness) -> None:
    assert request(at_seven.url, method="GET").status == 405
    assert request(at_seven.url, path="/else").status == 404
    about = request(at_seven.url, method="GET", path="/")
    assert (about.status, about.text) == (200, f"{WITNESS_KEY.name}\n{WITNESS_KEY.vkey}\n")


def test_a_state_that_cannot_be_written_is_said_so_and_nothing_cosigned(
    witness: Witness, state: Path
) -> None:
    other = apsw.Connection(str(state))
    other.execute("DROP TABLE latest")
    other.close()
    answer = request(witness.url, LOG.submission(0, 3))
    assert answer.status == 503 and "—" not in answer.text


hashes = st.binary(min_size=32, max_size=32)


@given(st.integers(0, 2**63 - 1), st.lists(hashes, max_size=PROOF_LINES), st.text(st.characters()))
def test_a_submission_reads_back_as_it_was_written(old: int, proof: list[bytes], rest: str) -> None:
    written = Submission(old, tuple(proof), rest)
    assert Submission.parse(written.body) == written


def _spliced(body: bytes, start: int, length: int, instead: bytes) -> bytes:
    start %= len(body)
    return body[:start] + instead + body[start + length :]


spliced = st.builds(
    _spliced,
    st.sampled_from([LOG.submission(7, 20), LOG.submission(0, 3), FORK.submission(7, 7)]),
    st.integers(0, 400),
    st.integers(0, 90),
    st.binary(max_size=20) | st.sampled_from([b"\n", b"\n\n", b"old ", b"99999999999999999999"]),
)


@given(st.binary(max_size=300) | spliced)
def test_no_body_makes_the_witness_fail(at_seven: Witness, body: bytes) -> None:
    assert request(at_seven.url, body).status in {200, 400, 403, 404, 409, 422}


# It never goes back, whatever happens.


@attrs.frozen
class TickingClock:
    """A second passes whenever somebody looks."""

    lock: threading.Lock = attrs.field(factory=threading.Lock)
    seconds: Iterator[int] = attrs.field(factory=lambda: iter(range(NOW_S, NOW_S + 100_000)))

    def now(self) -> int:
        with self.lock:
            return next(self.seconds) * 1_000_000


def climb(url: str, seed: int, report: Callable[[int, int, Answer], None]) -> None:
    """Moves the witness on by leaps until it holds the whole log, against others who do so."""
    chance, old, size = random.Random(seed), 0, len(LOG.leaves)
    while old < size:
        new = chance.randint(old + 1, min(size, old + 4))
        answer = request(url, LOG.submission(old, new))
        report(old, new, answer)
        old = new if answer.status == 200 else answer.size


@pytest.mark.parametrize("servers", [1, 2])
def test_of_requests_that_race_each_goes_on_from_what_the_one_before_left(
    state: Path, servers: int
) -> None:
    clock, steps = TickingClock(), []

    def report(old: int, new: int, answer: Answer) -> None:
        if answer.status == 200:
            (time_s,) = times(note.attach(LOG.note(new), answer.text))
            steps.append((old, new, time_s))

    with ExitStack() as stack, ThreadPoolExecutor(8) as pool:
        urls = [stack.enter_context(running(state, clock=clock)).url for _ in range(servers)]
        climbs = [pool.submit(climb, urls[n % servers], n, report) for n in range(8)]
        seen = [held(state)]
        while not all(climb.done() for climb in climbs):
            seen.append(held(state))
        for each in climbs:
            each.result()
    steps.sort()
    assert [old for old, _, _ in steps] == [0, *(new for _, new, _ in steps[:-1])]
    assert steps[-1][1] == len(LOG.leaves)
    assert seen == sorted(seen)
    said = [time_s for _, _, time_s in steps]
    assert said == sorted(said)  # a cosignature says that none larger was seen by its time


@attrs.frozen
class ImpatientClock:
    """Tells for each look at it whether somebody else could have stored a checkpoint meanwhile."""

    state: Path
    open_to_others: list[bool] = attrs.field(factory=list)

    def now(self) -> int:
        other = apsw.Connection(str(self.state))
        try:
            other.execute("BEGIN IMMEDIATE")
            self.open_to_others.append(True)
        except apsw.BusyError:
            self.open_to_others.append(False)
        finally:
            other.close()
        return NOW_S * 1_000_000


def test_the_time_of_a_cosignature_is_read_while_no_larger_checkpoint_can_come(state: Path) -> None:
    clock = ImpatientClock(state)
    with running(state, clock=clock) as witness:
        submit(witness, LOG.note(7), 0, LOG.proof)
    assert clock.open_to_others == [False]


def test_it_goes_on_after_a_restart(state: Path) -> None:
    with running(state) as witness:
        submit(witness, LOG.note(11), 0, LOG.proof)
    with running(state) as witness:
        assert request(witness.url, LOG.submission(0, 20)).size == 11
        assert len(submit(witness, LOG.note(20), 11, LOG.proof)) == 1


def test_what_was_answered_survives_a_kill(state: Path) -> None:
    for old, new in [(0, 5), (5, 23), (23, 64)]:
        with process(state) as (server, witness):
            assert request(witness.url, LOG.submission(old, new)).status == 200
            server.kill()
            assert server.wait() == -signal.SIGKILL
    assert held(state) == 64


def test_what_was_answered_survives_a_kill_among_many_requests(state: Path) -> None:
    answered: list[int] = []
    with process(state) as (server, witness), ThreadPoolExecutor(4) as pool:

        def report(_: int, new: int, answer: Answer) -> None:
            if answer.status == 200:
                answered.append(new)
            if len(answered) >= 6:
                server.kill()

        climbs = [pool.submit(climb, witness.url, n, report) for n in range(4)]
        failures = [climb.exception(LIMIT_S) for climb in climbs]
    assert all(isinstance(failure, OSError | HTTPException) for failure in failures), failures
    found = held(state)
    assert found >= max(answered)
    with running(state) as again:
        assert request(again.url, LOG.submission(found, 64)).status == 200


def test_an_interrupt_ends_the_server_in_peace(state: Path) -> None:
    with process(state) as (server, witness):
        assert request(witness.url, LOG.submission(0, 5)).status == 200
        server.send_signal(signal.SIGINT)
        assert server.wait(LIMIT_S) == 0
    assert held(state) == 5


# A log that shows two histories.


@pytest.mark.parametrize("old", [7, 0])
def test_two_roots_for_one_size_are_refused_and_kept(state: Path, old: int) -> None:
    with running(state) as witness:
        submit(witness, LOG.note(7), 0, LOG.proof)
        for _ in range(2):
            answer = request(witness.url, FORK.submission(old, 7))
            assert answer.status == 422 if old else answer.size == 7
        assert request(witness.url, LOG.submission(7, 7)).status == 200
    assert evidence(state) == [Evidence(ORIGIN, "fork", FORK.note(7), LOG.note(7), NOW_S)]
    (kept,) = evidence(state)
    one, other = (note.open_checkpoint(text, KNOWN[ORIGIN]) for text in (kept.note, kept.held_note))
    assert one.size == other.size and one.root != other.root


def test_a_longer_history_that_does_not_continue_the_one_seen_is_refused_and_kept(
    state: Path,
) -> None:
    with running(state) as witness:
        submit(witness, LOG.note(7), 0, LOG.proof)
        with pytest.raises(WitnessError, match="does not continue") as refused:
            submit(witness, FORK.note(20), 7, FORK.proof)
        assert refused.value.data["status"] == 422
        submit(witness, LOG.note(20), 7, LOG.proof)
    assert evidence(state) == [Evidence(ORIGIN, "unproven", FORK.note(20), LOG.note(7), NOW_S)]


def test_the_log_is_told_of_its_fork(witness: Witness) -> None:
    submit(witness, LOG.note(7), 0, LOG.proof)
    for old in (0, 7):
        with pytest.raises(WitnessError, match="does not continue what it saw") as refused:
            submit(witness, FORK.note(7), old, FORK.proof)
        assert refused.value.data["status"] == 422


def test_a_history_that_agrees_so_far_is_no_fork(witness: Witness, state: Path) -> None:
    submit(witness, LOG.note(5), 0, LOG.proof)
    submit(witness, FORK.note(5), 5, FORK.proof)
    assert evidence(state) == []


# The client.


def test_a_client_that_knows_no_size_or_a_wrong_one_is_led_to_the_right_one(
    witness: Witness,
) -> None:
    for size, old in [(3, 2), (9, 0), (30, 12), (64, 30)]:
        lines = submit(witness, LOG.note(size), old, LOG.proof)
        assert times(note.attach(LOG.note(size), lines)) == [NOW_S]


def test_a_checkpoint_that_the_witness_is_past_is_an_error_with_the_size(witness: Witness) -> None:
    submit(witness, LOG.note(9), 0, LOG.proof)
    with pytest.raises(WitnessError, match="has seen 9 entries") as refused:
        submit(witness, LOG.note(8), 0, LOG.proof)
    assert refused.value.data["size"] == 9 and refused.value.hint
    assert isinstance(refused.value, AuditError)


def test_a_refusal_is_an_error_with_its_status(witness: Witness) -> None:
    stranger = Log(key=key_file("log", ORIGIN, 9))
    for text, status in [(stranger.note(3), 403), (LOG.note(3, origin="else"), 404)]:
        with pytest.raises(WitnessError) as refused:
            submit(witness, text, 0, LOG.proof)
        assert refused.value.data == {
            "witness": witness.name,
            "url": witness.url,
            "status": status,
            "size": None,
        }
        assert refused.value.hint


def test_cosignatures_of_all_who_answer_and_the_failures_of_the_others(tmp_path: Path) -> None:
    other_key = key_file("witness", "other.example/w", 3)
    with running(tmp_path / "a") as one, running(tmp_path / "b", key=other_key) as other:
        gone = listen("127.0.0.1", 0)
        url = url_of(gone)
        gone.close()
        nobody = Witness(key_file("witness", "gone.example/w", 4).verifier, url)
        submit(other, LOG.note(7), 0, LOG.proof)
        cosigned = cosign_all(
            [one, nobody, other], LOG.note(20), LOG.proof, old_sizes={other.name: 7}
        )
    assert [error.data["witness"] for error in cosigned.failures] == [nobody.name]
    witnesses = [one.key, other.key]
    assert [key for key, _ in note.cosignatures(cosigned.note, witnesses)] == witnesses
    accepted = independent.check_checkpoint(
        cosigned.note, LOG_KEY.vkey, [key.text for key in witnesses]
    )
    assert (accepted.origin, accepted.size) == (ORIGIN, 20)


def test_what_is_no_checkpoint_is_not_sent() -> None:
    nobody = Witness(WITNESS_KEY.verifier, "http://127.0.0.1:9")
    for text in ("tea", note.sign("tea\n", ORIGIN, LOG_KEY.private)):
        with pytest.raises(NoteError):
            submit(nobody, text, 0, LOG.proof)
        with pytest.raises(NoteError):
            cosign_all([nobody], text, LOG.proof)


@pytest.mark.parametrize(
    "url",
    ["witness.example", "file:///etc/passwd", "ftp://a", "http://", "http://a:b", "http://a?b"],
)
def test_a_witness_has_a_url_that_can_be_asked(url: str) -> None:
    with pytest.raises(WitnessError, match="cannot be reached"):
        Witness(WITNESS_KEY.verifier, url)


def test_a_witness_has_a_witnesss_key() -> None:
    with pytest.raises(WitnessError, match="no witness's key"):
        Witness.parse(f"{LOG_KEY.vkey} http://witness.example")


# Witnesses that do not keep to the rules: whatever comes, the client ends and believes nothing.


@contextmanager
def answering(serve: Callable[[socket.socket], None]) -> Iterator[Witness]:
    """A witness that reads each submission and then does with the connection what *serve* does."""
    listening = listen("127.0.0.1", 0)

    def loop() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(LIMIT_S)
                received = b""
                while not received.endswith(LOG.note(3).encode()):
                    received += connection.recv(1 << 16)
                try:
                    serve(connection)
                except OSError:
                    pass

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield Witness(WITNESS_KEY.verifier, url_of(listening))
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(LIMIT_S)


def canned(status: str, body: bytes = b"", *headers: str) -> Callable[[socket.socket], None]:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]

    def serve(connection: socket.socket) -> None:
        connection.sendall("\r\n".join(head).encode() + body)

    return serve


def asked(serve: Callable[[socket.socket], None], timeout: float = LIMIT_S) -> list[str]:
    with answering(serve) as witness:
        return submit(witness, LOG.note(3), 0, LOG.proof, timeout=timeout)


def cosigned_line(number: int = 2, name: str = WITNESS_KEY.name, size: int = 3) -> bytes:
    key = key_file("witness", name, number)
    assert key.private is not None
    body = LOG.note(size).partition("\n\n")[0] + "\n"
    return note.cosign(body, name, key.private, NOW_S).encode()


def test_lines_of_unknown_keys_are_passed_over() -> None:
    ours, strange = cosigned_line(), cosigned_line(7)
    assert asked(canned("200 OK", strange + ours)) == [ours.decode()]


def forged() -> bytes:
    """A line that names the witness's key and bears the signature of another checkpoint."""
    return cosigned_line(size=4)


@pytest.mark.parametrize(
    ("serve", "why"),
    {
        "nothing": (canned("200 OK"), "no cosignature"),
        "no signature lines": (canned("200 OK", b"<html>\n"), "no cosignature"),
        "no UTF-8": (canned("200 OK", b"\xff\n"), "no cosignature"),
        "another key's lines": (canned("200 OK", cosigned_line(7)), "without a cosignature by"),
        "another name's lines": (canned("200 OK", cosigned_line(2, "x")), "without a cosignature"),
        "a forged line": (canned("200 OK", forged()), "does not hold"),
        "a line twice": (canned("200 OK", cosigned_line() * 2), "twice"),
        "too much": (canned("200 OK", b"x" * (ANSWER_BYTES + 1)), f"more than {ANSWER_BYTES}"),
        "a redirect": (canned("307 Go", b"", "Location: http://127.0.0.1:9/"), "status 307"),
        "an error": (canned("500 Oh no", b"stack\n"), "status 500.*'stack'"),
        "no size": (canned("409 No", b"4x\n", "Content-Type: text/x.tlog.size"), "told no size"),
        "a size of 2^63": (
            canned("409 No", b"%d\n" % (1 << 63), "Content-Type: text/x.tlog.size"),
            "told no size",
        ),
        "the size it was asked from": (
            canned("409 No", b"0\n", "Content-Type: text/x.tlog.size"),
            "refuses size 0, and names it",
        ),
        "no HTTP": (lambda connection: connection.sendall(b"tea\r\n\r\n"), "cannot be asked"),
        "an end": (lambda connection: None, "cannot be asked"),
    }.values(),
)
def test_an_answer_that_is_not_what_it_must_be_is_an_error(
    serve: Callable[[socket.socket], None], why: str
) -> None:
    with pytest.raises(WitnessError, match=why):
        asked(serve)


def test_a_witness_that_names_ever_other_sizes_is_given_up() -> None:
    sizes = iter([1, 2, 1, 2, 1, 2, 1, 2])

    def serve(connection: socket.socket) -> None:
        canned("409 No", b"%d\n" % next(sizes), "Content-Type: text/x.tlog.size")(connection)

    with pytest.raises(WitnessError, match="4 sizes"):
        asked(serve)


def test_an_answer_without_an_end_is_cut_off() -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 4096)

    with pytest.raises(WitnessError, match=f"more than {ANSWER_BYTES}"):
        asked(serve)


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["head", "body"])
def test_an_answer_that_trickles_in_is_cut_off_in_time(head: bytes) -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(head)
        while not select.select([connection], [], [], 0.02)[0]:  # until the client lets go
            connection.sendall(b"x")

    with pytest.raises(WitnessError, match=r"no answer within 0\.3 s"):
        asked(serve, timeout=0.3)


# How it is set up.


def test_a_witness_cosigns_with_an_opened_key_of_its_own(state: Path) -> None:
    for key in (LOG_KEY, attrs.evolve(WITNESS_KEY, private=None)):
        with pytest.raises(UnknownKey, match="cannot cosign"):
            witness_app(state, key, KNOWN)
    assert not state.exists()


@pytest.mark.parametrize("keys", [[], [WITNESS_KEY.verifier]], ids=["none", "a witness's"])
def test_a_log_is_known_by_keys_that_sign_notes(state: Path, keys: list[note.VerifierKey]) -> None:
    with pytest.raises(InputError):
        witness_app(state, WITNESS_KEY, {ORIGIN: keys})


def test_a_state_that_is_something_else_is_left_alone(state: Path, tmp_path: Path) -> None:
    Substrate.open(tmp_path / "store.db").close()
    (tmp_path / "text").write_text("tea " * 1_000)
    for place in ("store.db", "text"):
        before = (tmp_path / place).read_bytes()
        with pytest.raises(NotAStore):
            witness_app(tmp_path / place, WITNESS_KEY, KNOWN)
        assert (tmp_path / place).read_bytes() == before
    with pytest.raises(StoreError):
        witness_app(tmp_path / "nowhere" / "state", WITNESS_KEY, KNOWN)


def test_a_state_of_a_later_version_is_left_alone(state: Path) -> None:
    State(state, FrozenClock(0)).close()
    later = apsw.Connection(str(state))
    later.pragma("user_version", 2)
    later.close()
    with pytest.raises(NewerStore):
        State(state, FrozenClock(0))
