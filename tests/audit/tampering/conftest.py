"""One planted store for all tests of a process; each works on a copy of its file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from persistence.audit.keyfile import Keyring
from tests.audit.tampering.planted import copy_of, new_keys, plant, told


@attrs.frozen
class Planted:
    """The file, and the keys it was signed with."""

    path: Path
    keys: Keyring


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    path, keys = tmp_path_factory.mktemp("planted") / "store.db", new_keys()
    plant(path, keys)
    assert told(path, keys) == []
    return Planted(path, keys)


@pytest.fixture
def copied(planted: Planted, tmp_path: Path) -> Callable[[], Path]:
    """Gives a fresh copy of the file, time and again under one name."""
    return lambda: copy_of(planted.path, tmp_path / "copy.db")
