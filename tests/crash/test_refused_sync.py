"""A disk that refuses to sync a commit: nobody knows what is on it, and nobody says so."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from persistence import Substrate
from persistence.errors import StoreError
from tests.crash.disk import WAL, Disk, File


class Refusing(Disk):
    """Refuses one sync of the log when it is told to."""

    refuse = False

    def sync(self, file: File, flags: int) -> None:
        if self.refuse and file.role == WAL:
            self.refuse = False
            raise apsw.IOError("the disk is on fire")
        super().sync(file, flags)


def test_a_commit_that_could_not_be_synced_is_said_to_be_unknown(tmp_path: Path) -> None:
    disk = Refusing("refusing")
    with Substrate.open(tmp_path / "s.db", vfs=disk.vfs) as s:
        s.fact.transact([{"db/id": 1, "n": 1}])
        disk.refuse = True
        with pytest.raises(StoreError) as raised:
            s.fact.transact([{"db/id": 1, "n": 2}])
        assert raised.value.data["outcome"] == "unknown"
        assert s.fact.db().get(1, "n") == 1
        s.fact.transact([{"db/id": 1, "n": 3}])
        assert s.fact.db().get(1, "n") == 3
        assert s.check() == []
