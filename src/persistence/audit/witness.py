"""Asks witnesses to cosign a checkpoint, so that a log cannot show somebody another history.

A witness cosigns only what continues that which it saw before (C2SP tlog-witness); whoever then
believes checkpoints with enough cosignatures sees what the others see. What a witness answers is a
stranger's word: its length is limited, and a cosignature counts once it was verified.

Imports the standard library, its neighbours and the errors only.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any, Final
from urllib.parse import urlsplit

from persistence.audit import note
from persistence.audit.checkpoint import Checkpoint
from persistence.audit.note import SignedNote
from persistence.audit.submission import PATH, SIZE_TYPE, Submission, parse_size
from persistence.audit.vkey import COSIGNATURE, NoteError, VerifierKey
from persistence.errors import WitnessError

ANSWER_BYTES: Final = 64 * 1024  # some signature lines, or a size
ROUNDS: Final = 4  # a witness that is asked by several at once may move on in between
TIMEOUT_S: Final = 10.0
AT_ONCE: Final = 16  # witnesses asked at the same time

Proof = Callable[[int, int], Sequence[bytes]]

_REFUSALS: Final = {
    400: ("cannot read the checkpoint", "is the witness's URL right?"),
    403: ("knows no key that signed the checkpoint", "give its operator the log's verifier key"),
    404: ("does not know the log", "ask its operator to witness it; or the URL is wrong"),
    409: ("holds another tree of the same size", "the log was forked; keep this checkpoint"),
    413: ("finds the checkpoint too long", None),
    422: (
        "finds that the checkpoint does not continue what it saw",
        "the log was forked or restored; keep this checkpoint, and ask for the one it holds",
    ),
}


@dataclass(frozen=True, slots=True)
class Witness:
    """Who cosigns, by verifier key, and the URL that submissions go to.

    >>> key = VerifierKey("witness.example/w", bytes(range(32)), 4)
    >>> witness = Witness.parse(f"{key.text} https://witness.example")
    >>> witness.name, witness.url
    ('witness.example/w', 'https://witness.example')

    Raises:
        WitnessError: no witness's key, or no http or https URL.
    """

    key: VerifierKey
    url: str

    def __post_init__(self) -> None:
        if self.key.kind != COSIGNATURE:
            raise self.error("signs notes; that is no witness's key", key=self.key.text)
        try:
            parts = urlsplit(self.url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable or parts.query or parts.fragment or parts.username is not None:
            raise self.error(
                f"cannot be reached at {self.url!r}",
                hint="a URL with http or https, a host and perhaps a port and a path",
            )

    @classmethod
    def parse(cls, text: str) -> Witness:
        """The witness that *text* names: its verifier key, a space, its URL.

        Raises:
            NoteError: it begins with no verifier key.
            WitnessError: as of :class:`Witness`.
        """
        key, _, url = text.strip().partition(" ")
        return cls(VerifierKey.parse(key), url.strip())

    @property
    def name(self) -> str:
        """The name that it cosigns under."""
        return self.key.name

    def error(self, sentence: str, *, hint: str | None = None, **data: Any) -> WitnessError:
        """An error about this witness."""
        return WitnessError(
            f"the witness {self.name} {sentence}",
            hint=hint,
            witness=self.name,
            url=self.url,
            **data,
        )


@dataclass(frozen=True, slots=True)
class Cosigned:
    """A checkpoint with the cosignatures that were to be had, and why others were not."""

    note: str
    failures: tuple[WitnessError, ...]


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    media_type: str
    body: bytes


def submit(
    witness: Witness,
    checkpoint_note: str,
    old_size: int,
    proof: Proof,
    *,
    timeout: float = TIMEOUT_S,
) -> list[str]:
    """The lines by which *witness* cosigns *checkpoint_note*, verified, for `note.attach`.

    *old_size* is that of the last checkpoint it is known to have cosigned, or 0. If it tells
    another one, it is asked again with a proof from there. *proof(old, new)* gives the
    consistency path between two sizes, 0 < old < new. *timeout* is in seconds, to connect and
    again for each answer.

    Raises:
        NoteError: *checkpoint_note* is no checkpoint.
        WitnessError: it did not cosign, or what it answered does not hold; `status` is that of
            its answer if there was one, `size` the size that it told.
    """
    signed = SignedNote.parse(checkpoint_note)
    size = Checkpoint.parse(signed.body).size
    old = old_size
    for _ in range(ROUNDS):
        if not 0 <= old <= size:
            raise witness.error(
                f"has seen {old} entries of the log already, and the checkpoint has {size}",
                hint="submit the newest checkpoint; if this is it, the log was rolled back",
                size=old,
                found=size,
            )
        path = tuple(proof(old, size)) if 0 < old < size else ()
        answer = _posted(witness, Submission(old, path, checkpoint_note).body, timeout)
        if answer.status == 200:
            return _verified(witness, signed, answer)
        told = _size_told(witness, answer)
        if told is None or told == old == size:  # going on from there is not what is wrong
            raise _refusal(witness, answer, told)
        if told == old:
            raise witness.error(f"refuses size {old}, and names it", status=409, size=old)
        old = told
    raise witness.error(f"named {ROUNDS} sizes to go on from, one after the other", size=old)


def cosign_all(
    witnesses: Iterable[Witness],
    checkpoint_note: str,
    proof: Proof,
    *,
    old_sizes: dict[str, int] | None = None,
    timeout: float = TIMEOUT_S,
) -> Cosigned:
    """*checkpoint_note* with the cosignatures of all *witnesses* that give one.

    They are asked at the same time, so that one of them costs the others nothing. *old_sizes*
    gives what some are known to have cosigned last, by name. *proof* is called from other
    threads, but never twice at once.

    Raises:
        NoteError: *checkpoint_note* is no checkpoint, or has too many signatures then.
    """
    Checkpoint.parse(SignedNote.parse(checkpoint_note).body)
    known = old_sizes or {}
    turn = threading.Lock()

    def one_at_a_time(old: int, new: int) -> Sequence[bytes]:
        with turn:
            return proof(old, new)

    def ask(witness: Witness) -> list[str] | WitnessError:
        old = known.get(witness.name, 0)
        try:
            return submit(witness, checkpoint_note, old, one_at_a_time, timeout=timeout)
        except WitnessError as error:
            return error

    with ThreadPoolExecutor(AT_ONCE, "witness") as pool:
        outcomes = list(pool.map(ask, witnesses))
    lines = [line for outcome in outcomes if isinstance(outcome, list) for line in outcome]
    failures = tuple(outcome for outcome in outcomes if isinstance(outcome, WitnessError))
    return Cosigned(note.attach(checkpoint_note, lines) if lines else checkpoint_note, failures)


def _verified(witness: Witness, signed: SignedNote, answer: _Answer) -> list[str]:
    """The lines of the witness's own key, each found to hold; others are passed over."""
    try:
        lines = tuple(
            line
            for line in note.signature_lines(answer.body.decode())
            if (line.name, line.key_id) == (witness.name, witness.key.id)
        )
        if lines:
            SignedNote(signed.body, lines).verified([witness.key])
    except (UnicodeError, NoteError) as error:
        raise witness.error(
            f"answered with what is no cosignature: {error}", status=answer.status
        ) from error
    if not lines:
        raise witness.error(
            "answered without a cosignature by its key",
            hint="is its verifier key the right one?",
            status=answer.status,
            key=witness.key.text,
        )
    return [line.line for line in lines]


def _size_told(witness: Witness, answer: _Answer) -> int | None:
    """The size that a witness tells to go on from, if it does."""
    if answer.status != 409 or answer.media_type != SIZE_TYPE:
        return None
    try:
        return parse_size(answer.body)
    except NoteError as error:
        raise witness.error(f"told no size: {error}", status=answer.status) from error


def _refusal(witness: Witness, answer: _Answer, told: int | None) -> WitnessError:
    unforeseen = (f"answered with status {answer.status}", None)
    sentence, hint = _REFUSALS.get(answer.status, unforeseen)
    said = "" if told is not None else answer.body[:200].decode(errors="replace").strip()
    return witness.error(
        f"{sentence}; it says {said!r}" if said else sentence,
        hint=hint,
        status=answer.status,
        size=told,
    )


def _posted(witness: Witness, body: bytes, timeout: float) -> _Answer:
    """What the witness answers to *body*; no redirect is followed, no more is read than allowed."""
    connection = _connection(witness.url, timeout)
    path = urlsplit(witness.url).path.rstrip("/") + PATH
    try:
        connection.connect()
        with _deadline(connection.sock, timeout):
            connection.request("POST", path, body, {"Content-Type": "text/plain; charset=utf-8"})
            with connection.getresponse() as response:
                return _read(witness, response)
    except (OSError, HTTPException, UnicodeError) as error:
        raise witness.error(
            f"cannot be asked: {str(error) or repr(error)}", hint="try again later"
        ) from error
    finally:
        connection.close()


@contextmanager
def _deadline(line: socket.socket, seconds: float) -> Iterator[None]:
    """Cuts *line* after *seconds*, however slowly its peer trickles; that is a TimeoutError."""
    late = threading.Event()

    def cut() -> None:
        late.set()
        with suppress(OSError):  # below TLS, which another thread must not touch
            socket.socket.shutdown(line, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, HTTPException):
        if not late.is_set():
            raise
    finally:
        timer.cancel()
    if late.is_set():  # also when nothing failed: what was read may end where it was cut
        raise TimeoutError(f"no answer within {seconds:g} s")


def _connection(url: str, timeout: float) -> HTTPConnection:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https":
        context = ssl.create_default_context()
        return HTTPSConnection(host, parts.port, timeout=timeout, context=context)
    return HTTPConnection(host, parts.port, timeout=timeout)


def _read(witness: Witness, response: HTTPResponse) -> _Answer:
    too_long = (response.length or 0) > ANSWER_BYTES
    body = b"" if too_long else response.read(ANSWER_BYTES + 1)
    if too_long or len(body) > ANSWER_BYTES:
        raise witness.error(
            f"answered with more than {ANSWER_BYTES} bytes",
            status=response.status,
            allowed=ANSWER_BYTES,
        )
    media_type = response.headers.get_content_type()
    return _Answer(response.status, media_type, body)
