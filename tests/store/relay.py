"""A relay between psycopg and a real server, which loses an answer when told to.

A connection that dies between the server's commit and the client's reading of it cannot be made
on one machine in another way.
"""

from __future__ import annotations

import re
import socket
import threading
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from persistence.store import open_store
from persistence.store.postgres import PostgresStore

_BACKEND_KEY = re.compile(rb"(K\x00\x00\x00.)....", re.DOTALL)


class Relay:
    """Listens on a socket in *directory* and passes everything on to the server at *target*.

    Attributes:
        lose_answer_to: bytes of the client after which the server's next answer is lost, and
            both connections with it. The server has carried out what was asked.
        refuse: accept no new connection.
        pose_as_pooler: tell clients a process id of the relay's own, as poolers do.
    """

    def __init__(self, directory: Path, target: str, port: int) -> None:
        self.directory = directory
        self.lose_answer_to: bytes | None = None
        self.refuse = False
        self.pose_as_pooler = False
        self._target = target
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(directory / f".s.PGSQL.{port}"))
        self._listener.listen()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refuse:
                client.close()
                continue
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._target)
            lost = threading.Event()
            for pump in (self._ask, self._answer):
                threading.Thread(target=pump, args=(client, server, lost), daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket, lost: threading.Event) -> None:
        while data := _received(client):
            if self.lose_answer_to is not None and self.lose_answer_to in data:
                self.lose_answer_to = None
                lost.set()
            server.sendall(data)
        _end(server)

    def _answer(self, client: socket.socket, server: socket.socket, lost: threading.Event) -> None:
        while data := _received(server):
            if lost.is_set():
                break
            if self.pose_as_pooler:
                data = _BACKEND_KEY.sub(rb"\1\000\000\000\007", data, count=1)
            client.sendall(data)
        _end(client)


def connected(uri: str, **options: object) -> PostgresStore:
    store = open_store(uri, **options)
    assert isinstance(store, PostgresStore)
    return store


def through(relay: Relay, uri: str) -> PostgresStore:
    host = parse_qs(urlsplit(uri).query)["host"][0]
    return connected(uri.replace(host, str(relay.directory)), connect_timeout=2)


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65_536)
    except OSError:
        return b""


def _end(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits on the other side
    except OSError:
        pass
    connection.close()
