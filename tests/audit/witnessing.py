"""Logs to be witnessed, and witnesses that listen: in a thread, or in a process to be killed."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import attrs
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from persistence.audit import note
from persistence.audit.checkpoint import Checkpoint
from persistence.audit.keyfile import KeyFile
from persistence.audit.merkle import Nodes, consistency_path, leaf_hash, tree_hash
from persistence.audit.signature import public_bytes
from persistence.audit.submission import PATH, Submission
from persistence.audit.vkey import VerifierKey
from persistence.audit.witness import Witness
from persistence.audit.witness_server import config, listen, url_of, witness_app
from persistence.clock import Clock, FrozenClock

ORIGIN = "log.example/teas"
NOW_S = 1_700_000_000
ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 30.0  # nothing here takes a second, unless the machine is busy


def key_file(role: str, name: str, number: int) -> KeyFile:
    """A key that is the same in every run."""
    private = Ed25519PrivateKey.from_private_bytes(number.to_bytes(32, "big"))
    return KeyFile(role, name, public_bytes(private), private)  # type: ignore[arg-type]


LOG_KEY = key_file("log", ORIGIN, 1)
WITNESS_KEY = key_file("witness", "witness.example/w", 2)
KNOWN = {ORIGIN: [LOG_KEY.verifier]}


class Log:
    """A log in memory; with another *history* it is a fork from entry *fork* on."""

    def __init__(
        self, size: int = 64, *, history: str = "", fork: int = 0, key: KeyFile = LOG_KEY
    ) -> None:
        self.key = key
        self.leaves = [
            leaf_hash(f"entry {number}{history if number >= fork else ''}".encode())
            for number in range(size)
        ]

    def note(self, size: int, *, origin: str = ORIGIN, name: str = "") -> str:
        assert self.key.private is not None
        body = Checkpoint(origin, size, tree_hash(self.leaves[:size])).body
        return note.sign(body, name or self.key.name, self.key.private)

    def proof(self, old: int, new: int) -> list[bytes]:
        read = Nodes(lambda start, stop: self.leaves[start:stop], lambda *_: [])
        return consistency_path(old, new, read)

    def submission(self, old: int, new: int) -> bytes:
        """What a log that knows its witness to be at *old* sends for *new*."""
        proof = tuple(self.proof(old, new)) if 0 < old < new else ()
        return Submission(old, proof, self.note(new)).body


@attrs.frozen
class Answer:
    status: int
    media_type: str
    text: str

    @property
    def size(self) -> int:
        """What a 409 tells to go on from."""
        assert (self.status, self.media_type) == (409, "text/x.tlog.size")
        return int(self.text.removesuffix("\n"))


def request(
    url: str, body: object = b"", *, method: str = "POST", path: str = PATH, chunked: bool = False
) -> Answer:
    """What the witness at *url* answers, without any of the client's manners."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=LIMIT_S)
    try:
        connection.request(method, path, body, encode_chunked=chunked)  # type: ignore[arg-type]
        response = connection.getresponse()
        return Answer(
            response.status, response.headers.get("Content-Type", ""), response.read().decode()
        )
    finally:
        connection.close()


@contextmanager
def running(
    state: Path,
    *,
    key: KeyFile = WITNESS_KEY,
    logs: Mapping[str, Sequence[VerifierKey]] = KNOWN,
    clock: Clock | None = None,
) -> Iterator[Witness]:
    """A witness that serves from a thread."""
    app = witness_app(state, key, logs, clock=clock or FrozenClock(NOW_S * 1_000_000))
    server, listening = uvicorn.Server(config(app)), listen("127.0.0.1", 0)
    url = url_of(listening)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield Witness(key.verifier, url)
    finally:
        server.should_exit = True
        thread.join(LIMIT_S)
        listening.close()
    assert not thread.is_alive()


@contextmanager
def process(state: Path) -> Iterator[tuple[subprocess.Popen[str], Witness]]:
    """A witness that serves from a process of its own; it may be killed meanwhile."""
    command = [sys.executable, "-m", "tests.audit.witness_process", json.dumps(str(state))]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server, Witness(WITNESS_KEY.verifier, server.stdout.readline().strip())
        finally:
            server.kill()
