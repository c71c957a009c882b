"""A store, and a way to run the program on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner

from persistence import FrozenClock, Substrate
from persistence.cli import main
from persistence.datoms import instant


@attrs.frozen
class Ran:
    """What one run of the program did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the program in an empty directory, on the store `shop.db` unless told otherwise."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PERSISTENCE_STORE", "shop.db")
    for name in ("PERSISTENCE_KEYS", "PERSISTENCE_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str, input: str | bytes | None = None) -> Ran:
        result = CliRunner().invoke(main, words, input=input)
        return Ran(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def shop(run: Run) -> Run:
    """The program, beside a store in which a price was corrected."""
    clock = FrozenClock(instant("2026-03-01T10:00:00+00:00"))
    with Substrate.open("shop.db", clock=clock) as s:
        s.fact.transact("[{:db/ident :item/sku :db/unique :db.unique/identity}]")
        s.fact.transact(
            [{"item/sku": "tea-1", "item/price": 10, "item/name": "Green tea"}],
            valid_from="2026-03-01",
            meta={"source": "catalogue"},
            author="ada",
        )
        clock.instant = instant("2026-04-01T10:00:00+00:00")
        s.fact.transact(
            [{"item/sku": "tea-1", "item/price": 12}],
            valid_from="2026-03-15",
            meta={"source": "letter"},
        )
    return run
