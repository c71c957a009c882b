"""Opens the store that a URI names.

store.db, /srv/store.db, sqlite:///srv/store.db     a SQLite file
:memory:                                            a private SQLite store that ends on close
postgresql://user@host/name?schema=other            a schema of a Postgres database
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from persistence.errors import StoreError
from persistence.store.protocol import Store
from persistence.store.sqlite import SqliteStore
from persistence.store.sqlite_open import SqliteOptions

_SQLITE: Final = "sqlite:"
_POSTGRES: Final = ("postgresql:", "postgres:")


def open_store(uri: str | PathLike[str], **options: Any) -> Store:
    """The store at *uri*, created when it is not there yet.

    The options are the fields of ``SqliteOptions`` or ``PostgresOptions``.

    >>> store = open_store(":memory:")
    >>> store.close()

    Raises:
        NotAStore: the file, directory or database holds something else.
        NewerStore: a later version of this program wrote it.
        StoreError: it cannot be opened; or an option is unknown.
    """
    text = str(uri)
    if text.startswith(_POSTGRES):
        # psycopg is an optional extra: only those who use Postgres need it.
        try:
            from persistence.store.postgres import PostgresOptions, PostgresStore  # noqa: PLC0415
        except ImportError as error:
            raise StoreError(
                "Postgres needs the package psycopg",
                hint="pip install 'persistence-substrate[postgres]'",
            ) from error
        return PostgresStore(text, _options(PostgresOptions, options))
    place = _sqlite_path(text)
    settings = _options(SqliteOptions, options)
    if place == ":memory:":
        return SqliteStore.in_memory(settings)
    return SqliteStore(Path(place).expanduser(), settings)


def _sqlite_path(uri: str) -> str:
    if not uri.startswith(_SQLITE):
        if "://" in uri:
            raise StoreError(
                f"no backend reads {uri.partition('://')[0]}:// addresses",
                hint="use a path, sqlite:///path or postgresql://…",
            )
        return uri
    rest = uri.removeprefix(_SQLITE)
    if rest.startswith("//"):
        rest = rest.removeprefix("//").removeprefix("localhost")
    if rest in ("", "/", "/:memory:", ":memory:"):
        return ":memory:"
    if "?" in rest:
        raise StoreError(
            "a sqlite address takes no query part", hint="give options as keyword arguments"
        )
    return unquote(rest)


def _options(kind: type[Any], options: dict[str, Any]) -> Any:
    try:
        return kind(**options)
    except TypeError as error:
        raise StoreError(f"an unknown option: {error}", hint=f"see {kind.__name__}") from error
