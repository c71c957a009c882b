"""A small witness: cosigns checkpoints of the logs it knows, if each continues the one before.

    POST /add-checkpoint    C2SP tlog-witness, with its status codes
    GET  /                  name and verifier key, for people

    200 signature lines             403 no known key of the log signed it
    400 not a submission            409 another size to go on from
    404 a log it does not know      413 a body over 256 KiB
    422 a fork, or no sound proof   503 the state cannot be written

There is no authentication beyond the log's own signature, so that every body is a stranger's. It
speaks HTTP; what is more than a neighbourhood's network wants a proxy with TLS in front.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

import apsw
import attrs
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from persistence.audit import note
from persistence.audit.checkpoint import Checkpoint
from persistence.audit.note import SignedNote
from persistence.audit.signing_key import KeyFile
from persistence.audit.submission import PATH, SIZE_TYPE, Submission, size_line
from persistence.audit.vkey import ED25519, NoteError, VerifierKey
from persistence.audit.witness_state import Refusal, State
from persistence.clock import Clock, SystemClock
from persistence.errors import InputError, UnknownKey

BODY_BYTES: Final = 256 * 1024  # 63 hashes, and a checkpoint with dozens of signatures
CONNECTIONS: Final = 256  # at once; more are answered with 503
BACKLOG: Final = 128
SYSTEM_CLOCK: Final = SystemClock()

_TEXT: Final = "text/plain; charset=utf-8"
_log: Final = logging.getLogger(__name__)


Logs = Mapping[str, Sequence[VerifierKey]]


@attrs.frozen
class _Answer:
    status: int
    text: str
    media_type: str = _TEXT


@attrs.frozen
class _Cosigner:
    """The witness without HTTP: a body in, an answer out; blocks on the state's medium."""

    name: str
    private: Ed25519PrivateKey = attrs.field(repr=False)
    logs: Mapping[str, tuple[VerifierKey, ...]]
    state: State

    def add_checkpoint(self, body: bytes) -> _Answer:
        try:
            submission = Submission.parse(body)
            signed = SignedNote.parse(submission.note)
            checkpoint = Checkpoint.parse(signed.body)
        except NoteError as error:
            return _refused(400, str(error))
        keys = self.logs.get(checkpoint.origin)
        if keys is None:
            return _refused(404, f"this witness does not know the log {checkpoint.origin}")
        try:
            verified = signed.verified(keys)
        except NoteError as error:
            return _refused(403, str(error))
        if submission.old > checkpoint.size:
            return _refused(400, f"the old size {submission.old} is over {checkpoint.size}")
        return self._offered(submission, checkpoint, _signed_by(signed, verified))

    def _offered(
        self, submission: Submission, checkpoint: Checkpoint, signed: SignedNote
    ) -> _Answer:
        def cosign(time_s: int) -> str:
            return note.cosign(signed.body, self.name, self.private, time_s)

        try:
            outcome = self.state.offer(
                checkpoint, signed.text, submission.old, submission.proof, cosign
            )
        except apsw.Error:
            _log.exception("the state of the witness cannot be read or written")
            return _refused(503, "the witness cannot store checkpoints now; nothing was cosigned")
        if not isinstance(outcome, Refusal):
            return _Answer(200, outcome)
        if outcome.evidence is not None:
            _log.warning("%s, %s: %s", checkpoint.origin, outcome.evidence, outcome.reason)
        if outcome.status == 409:
            return _Answer(409, size_line(outcome.size), SIZE_TYPE)
        return _refused(outcome.status, outcome.reason)


def witness_app(
    state: str | os.PathLike[str], key: KeyFile, logs: Logs, *, clock: Clock = SYSTEM_CLOCK
) -> Starlette:
    """The witness that signs with *key* and keeps what it saw in the file *state*.

    *logs* gives, for the origin of each log it witnesses, the keys that sign its checkpoints.
    The time of cosignatures is *clock*'s. The application serves once: when it is shut down it
    lets go of *state*.

    Raises:
        UnknownKey: *key* is not for witnessing, or was not opened.
        InputError: a log without a key, or with a key that does not sign notes.
        NotAStore: *state* is something else.
        StoreError: it cannot be opened or written.
    """
    if key.role != "witness" or key.private is None:
        raise UnknownKey(
            f"{key.name} cannot cosign: its key is for the role {key.role}"
            f"{'' if key.opened else ', and was not opened'}",
            hint="a witness has a key of its own, made for the role witness",
            name=key.name,
            role=key.role,
        )
    known = {origin: _checked(origin, keys) for origin, keys in logs.items()}
    cosigner = _Cosigner(key.name, key.private, known, State(state, clock))
    about = f"{key.name}\n{key.vkey}\n"

    async def add_checkpoint(request: Request) -> Response:
        try:
            body = await _limited(request)
        except ClientDisconnect:
            body = b""
        if body is None:
            answer = _refused(413, f"a submission has at most {BODY_BYTES} bytes")
        else:
            answer = await run_in_threadpool(cosigner.add_checkpoint, body)
        return Response(answer.text, answer.status, headers={"Content-Type": answer.media_type})

    async def tell(_: Request) -> Response:
        return PlainTextResponse(about)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        cosigner.state.close()

    routes = [Route(PATH, add_checkpoint, methods=["POST"]), Route("/", tell, methods=["GET"])]
    return Starlette(routes=routes, lifespan=lifespan)


def serve(
    state: str | os.PathLike[str],
    key: KeyFile,
    logs: Logs,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    clock: Clock = SYSTEM_CLOCK,
    ready: Callable[[str], None] = lambda _: None,
) -> None:
    """Serves :func:`witness_app` until the process is interrupted.

    *ready* is told the URL once connections are taken; with *port* 0 the system chooses one.

    Raises:
        OSError: the address cannot be had.
        UnknownKey, InputError, NotAStore, StoreError: as of :func:`witness_app`.
    """
    server = uvicorn.Server(config(witness_app(state, key, logs, clock=clock)))
    listening = listen(host, port)
    ready(url_of(listening))
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:  # the server has finished what it was at
        pass


def config(app: Starlette) -> uvicorn.Config:
    """How the witness is served: HTTP only, warnings to the caller's logging, no access log."""
    return uvicorn.Config(
        app,
        http="h11",
        ws="none",
        loop="asyncio",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
    )


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections on *host* and *port*, before anybody serves them."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


def url_of(listening: socket.socket) -> str:
    """The URL under which *listening* is reached."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _refused(status: int, reason: str) -> _Answer:
    return _Answer(status, f"{reason}\n")


def _signed_by(signed: SignedNote, keys: Sequence[VerifierKey]) -> SignedNote:
    """*signed* with the lines of *keys* only, so that no stranger's are stored along."""
    known = {(key.name, key.id) for key in keys}
    lines = tuple(line for line in signed.signatures if (line.name, line.key_id) in known)
    return SignedNote(signed.body, lines)


def _checked(origin: str, keys: Sequence[VerifierKey]) -> tuple[VerifierKey, ...]:
    if not keys:
        raise InputError(f"the log {origin} has no key that could sign it", origin=origin)
    for key in keys:
        if key.kind != ED25519:
            raise InputError(
                f"{key.text} is a witness's key, not one that signs {origin}",
                origin=origin,
                key=key.text,
            )
    return tuple(keys)


async def _limited(request: Request) -> bytes | None:
    """The body, or None as soon as it is known to be over the limit."""
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced[:20]) > BODY_BYTES:
        return None
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES:
            return None
    return bytes(body)
