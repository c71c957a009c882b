"""ciris-persist's audit log on SQLite: chains of entries, each hashed and signed by its caller.

An entry is made as its documentation says: the engine gives the canonical bytes, the caller hashes
and signs them, and `audit_record_entry` checks hash, signature and place in the chain before it
inserts a row. A chain has one end, so the threads of one chain take turns. The wheel sets
`synchronous = NORMAL` itself and offers no other: a commit of it is not synced, unlike ours.
"""

from __future__ import annotations

import json
import os
import threading
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

import attrs

from bench.crew import Crew
from bench.timing import Stage

NAME, APART = "ciris-persist", "ciris-persist, a chain per thread"
ABSENT = "ciris-persist is not installed; it comes with the extra `bench`"
_ID = "bench"


@attrs.define
class Chain:
    """The end of one tenant's chain."""

    tenant: str
    size: int = 0
    last: str = b64encode(bytes(32)).decode()
    turn: threading.Lock = attrs.field(factory=threading.Lock)


class Ciris:
    """The engine on one file; a process has only one at a time.

    Raises:
        ImportError: ciris-persist or cryptography is not installed.
    """

    def __init__(self, path: Path) -> None:
        ed25519 = import_module("cryptography.hazmat.primitives.asymmetric.ed25519")
        engine = import_module("ciris_persist").Engine
        seed = path.with_suffix(".seed")
        seed.write_bytes(os.urandom(32))
        # Where the engine keeps a key of its own; it has no argument for it.
        os.environ["CIRIS_DATA_DIR"] = str(path.parent)
        self._engine: Any = engine(
            dsn=f"sqlite:///{path}",
            signing_key_id=_ID,
            local_key_id=_ID,
            local_key_path=str(seed),
            pqc_sweep_on_init=False,
            replication_sweeper_enabled=False,
        )
        key: Any = ed25519.Ed25519PrivateKey.from_private_bytes(seed.read_bytes())
        self._sign: Callable[[bytes], bytes] = key.sign
        self._public = _text(key.public_key().public_bytes_raw())
        self._chains: list[Chain] = []

    def close(self) -> None:
        self._engine.close(force=True)

    def signing(self, threads: int, times: int, *, apart: bool = False) -> Stage[Crew]:
        """Each of *threads* records *times* entries, in one chain or each in its own."""
        chains = [self._chain() for _ in range(threads if apart else 1)]
        works = [self._work(chains[n % len(chains)], times) for n in range(threads)]
        return Stage(
            APART if apart else NAME,
            prepare=lambda: Crew(works),
            run=lambda crew: crew.run(),
            normal=lambda _: sum(self._verified(chain) for chain in chains),
            finish=lambda crew: crew.close(),
            operations=threads * times,
        )

    def _chain(self) -> Chain:
        self._chains.append(Chain(f"tenant {len(self._chains)}"))
        return self._chains[-1]

    def _work(self, chain: Chain, times: int) -> Callable[[], None]:
        def work() -> None:
            for _ in range(times):
                with chain.turn:
                    self._record(chain)

        return work

    def _record(self, chain: Chain) -> None:
        engine, number = self._engine, chain.size + 1
        entry = {
            "entry_id": f"{chain.tenant}, {number}",
            "sequence_number": number,
            "tenant_id": chain.tenant,
            "actor_id": self._public,  # the key that the signature is checked with
            "action_type": "assert",
            "subject_kind": "entity",
            "subject_id": str(number),
            "payload": {"score": 7},
            "prev_hash": chain.last,
            "entry_hash": "",
            "recorded_at": datetime.now(UTC).isoformat(),
            "signature": "",
        }
        digest = sha256(engine.audit_canonicalize_for_hash(json.dumps(entry))).digest()
        entry["entry_hash"] = last = _text(digest)
        body = engine.audit_canonicalize_for_signing(json.dumps(entry))
        entry["signature"] = _text(self._sign(body))
        engine.audit_record_entry(json.dumps(entry))
        chain.size, chain.last = number, last

    def _verified(self, chain: Chain) -> int:
        """How many entries the engine finds in order; all of them, or it is broken."""
        found = json.loads(self._engine.audit_verify_chain(chain.tenant, 1, None))
        if found["outcome"]["outcome"] != "ok":
            raise AssertionError(f"{NAME} does not verify its own chain: {found['outcome']}")
        return int(found["entries_walked"])


def _text(data: bytes) -> str:
    return b64encode(data).decode()
