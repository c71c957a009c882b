"""Opens a Postgres database: the address without its password, the schema, its migrations."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias
from urllib.parse import parse_qsl, urlencode

import attrs
import psycopg
from psycopg.conninfo import conninfo_to_dict

from persistence.errors import NotAStore, StoreError
from persistence.store.migrate import pending
from persistence.store.postgres_errors import lost, read_only, translated

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

_SECRETS: Final = frozenset({"password", "sslpassword", "passfile", "scram_client_key"})
# What a server says that refuses for now: while it starts, stops or recovers, and when it is full.
_PASSING: Final = (
    *("starting up", "shutting down", "recovery", "accepting connections"),
    *("terminating connection", "too many", "connection slots"),
)
_PREPARE_AFTER: Final = 5  # executions; what is asked only once is not worth preparing
_FORMAT: Final = "format"  # the key in meta of the number of the last migration


@attrs.frozen(slots=True, kw_only=True)
class PostgresOptions:
    """How a Postgres store is opened."""

    schema: str = "persistence"  # its tables stay apart from whatever else the database holds
    synchronous: Literal["FULL", "NORMAL"] = "FULL"  # NORMAL: a crash may lose the last commits
    busy_timeout: float = 30.0  # seconds to wait for the write lock or a free connection
    connect_timeout: float = 10.0  # seconds; a host that does not answer is reported soon
    connections: int = 10  # at most, for reading; one more writes
    prepare_threshold: int | Literal["auto"] | None = "auto"  # None where a pooler would lose them
    read_only: bool = False  # nothing is created, migrated or written
    create: bool = True  # an absent schema becomes a new store

    def __attrs_post_init__(self) -> None:
        if self.synchronous not in ("FULL", "NORMAL"):
            raise StoreError(f"synchronous is {self.synchronous!r}", hint="use FULL or NORMAL")


@attrs.frozen
class Address:
    """Where a store is. Neither its text nor its repr shows a password."""

    parameters: dict[str, Any] = attrs.field(repr=False)
    schema: str
    text: str

    @property
    def namespace(self) -> str:
        """The schema as an SQL identifier."""
        return '"' + self.schema.replace('"', '""') + '"'

    def __str__(self) -> str:
        return self.text


def address(uri: str, options: PostgresOptions) -> Address:
    """The address that *uri* gives; `?schema=` in it counts more than the option.

    Raises:
        StoreError: it is no address of a database.
    """
    place, _, rest = uri.partition("?")
    query = dict(parse_qsl(rest, keep_blank_values=True))
    schema = query.pop("schema", options.schema)
    if not schema or "\0" in schema:
        raise StoreError("the schema has no name", hint="leave it out, or write ?schema=name")
    parameters = _parameters(f"{place}?{urlencode(query)}" if query else place)
    if parameters is None:  # libpq's own message might show the password
        raise StoreError(
            "the address of the database is not valid",
            hint="write it as postgresql://user@host:port/name",
        )
    host = f"{parameters.get('host', 'localhost')}:{parameters.get('port', 5432)}"
    text = f"postgresql://{host}/{parameters.get('dbname', '')}?schema={schema}"
    return Address(parameters, schema, text)


def _parameters(uri: str) -> dict[str, Any] | None:
    try:
        return conninfo_to_dict(uri)
    except psycopg.ProgrammingError:
        return None


def settings(options: PostgresOptions) -> dict[str, Any]:
    """What a connection is opened with. Transactions are begun by hand, to save round trips."""
    return {
        "autocommit": True,
        "prepare_threshold": None
        if options.prepare_threshold == "auto"
        else options.prepare_threshold,
        "cursor_factory": psycopg.RawCursor,
        "connect_timeout": max(1, round(options.connect_timeout)),
    }


def ready(connection: Connection, options: PostgresOptions) -> None:
    """Lets a new connection prepare its statements, unless a pooler stands between.

    Prepared statements halve the time of a small commit. A pooler in transaction mode loses them,
    and it shows: the process id that it gives to a client is not that of a server process.
    """
    if options.prepare_threshold == "auto":
        ((pid,),) = connection.execute("SELECT pg_backend_pid()").fetchall()
        if pid == connection.pgconn.backend_pid:
            connection.prepare_threshold = _PREPARE_AFTER


def connect(place: Address, options: PostgresOptions) -> Connection:
    """A new connection.

    Raises:
        ConnectionLost: the server cannot be reached.
        StoreError: it refuses the user, or knows no such database.
    """
    # libpq tells a refusal from a silence in the text of its message only.
    try:
        connection = psycopg.connect(**{**place.parameters, **settings(options)})
    except psycopg.OperationalError as error:
        text = str(error)
        if "FATAL" in text and not any(passing in text for passing in _PASSING):
            raise StoreError(
                f"the server refuses {place}: {text.strip().splitlines()[-1]}",
                hint="check the user, its password and the name of the database",
                uri=str(place),
            ) from error
        raise lost(str(place), "not committed", error) from error
    try:
        ready(connection, options)
    except psycopg.Error as error:
        connection.close()
        raise translated(error, str(place), connection) from error
    return connection


def prepare(connection: Connection, place: Address, options: PostgresOptions) -> None:
    """Bring the schema of *place* to the current format, once, whoever comes first.

    Raises:
        NotAStore: the schema holds something else, or nothing where a store is expected.
        NewerStore: a later version wrote it.
        ReadOnlyStore: it would need a migration, but must not be written.
    """
    try:
        if not pending("postgres", _format(connection, place, options), str(place)):
            return
        if options.read_only:
            raise read_only(str(place))
        with connection.transaction():
            connection.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", [place.namespace]
            )
            done = _format(connection, place, options)
            if done == 0:
                connection.execute(f"CREATE SCHEMA IF NOT EXISTS {place.namespace}")
            connection.execute(f"SET LOCAL search_path TO {place.namespace}")
            for step in pending("postgres", done, str(place)):
                connection.execute(step.sql, prepare=False)
                connection.execute(_NUMBER, [str(step.number)])
    except psycopg.Error as error:
        raise translated(error, str(place), connection) from error


_NUMBER: Final = f"""
    INSERT INTO meta (key, value) VALUES ('{_FORMAT}', $1)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value
"""
_TABLES: Final = """
    SELECT relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
"""


def _format(connection: Connection, place: Address, options: PostgresOptions) -> int:
    """The number of the last migration; 0 in an empty schema."""
    tables = {name for (name,) in connection.execute(_TABLES, [place.schema]).fetchall()}
    if {"meta", "attr", "tx", "log", "fact"} <= tables:
        found = connection.execute(
            f"SELECT value FROM {place.namespace}.meta WHERE key = $1", [_FORMAT]
        ).fetchone()
        if found is not None:
            return int(found[0])
    if tables:
        raise NotAStore(
            f"the schema of {place} holds tables of another program",
            hint="choose another schema with ?schema=name; nothing was changed",
            uri=str(place),
        )
    if options.read_only or not options.create:
        raise NotAStore(f"there is no store at {place}", hint="check the address", uri=str(place))
    return 0
