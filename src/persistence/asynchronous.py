"""The front door for asyncio: the same names, awaited.

Every call that waits for the store runs in a thread, so the event loop goes on. What does not
wait (moving a database value along valid time, its representation) is the same as ever. The
store's own connections are per thread, so nothing is shared that should not be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from types import TracebackType
from typing import Any, Self

import attrs

from persistence.audit.checkpoint import Checkpoint
from persistence.audit.finding import Finding
from persistence.audit.keyfile import Keyring
from persistence.audit.proof import Proof
from persistence.audit.roster import Key, Roster
from persistence.auditing import Audit
from persistence.branches import MAIN, Line
from persistence.connection import Listener
from persistence.datoms import Datom, InstantLike
from persistence.db import Db, Report
from persistence.effects import AsyncEffects
from persistence.erasing import Erasure
from persistence.memory import AsyncMemory
from persistence.merging import Merge
from persistence.planning import AsyncPlanning
from persistence.replay import AsyncReplay
from persistence.stm.awaited import AsyncTxn
from persistence.store import Size
from persistence.substrate import BranchSpace, Facts, OnBranch, OnLine, Substrate
from persistence.transactions import Transaction
from persistence.values import Keyword


@attrs.frozen(repr=False)
class AsyncDb:
    """A database value whose questions are awaited; `value` is the plain one."""

    value: Db

    async def as_of(self, x: int | bytes | InstantLike) -> AsyncDb:
        """See :meth:`Db.as_of`."""
        return AsyncDb(await asyncio.to_thread(self.value.as_of, x))

    async def at(self, i: InstantLike) -> AsyncDb:
        """See :meth:`Db.at`."""
        return AsyncDb(await asyncio.to_thread(self.value.at, i))

    async def since(self, x: int | bytes | InstantLike) -> AsyncDb:
        """See :meth:`Db.since`."""
        return AsyncDb(await asyncio.to_thread(self.value.since, x))

    def valid_at(self, i: InstantLike) -> AsyncDb:
        """See :meth:`Db.valid_at`; nothing is read."""
        return AsyncDb(self.value.valid_at(i))

    def valid_between(self, i: InstantLike, j: InstantLike) -> AsyncDb:
        """See :meth:`Db.valid_between`; nothing is read."""
        return AsyncDb(self.value.valid_between(i, j))

    def history(self) -> AsyncDb:
        """See :meth:`Db.history`; nothing is read."""
        return AsyncDb(self.value.history())

    async def q(self, text: Any, *inputs: Any, **options: Any) -> Any:
        """See :meth:`Db.q`; other database values among *inputs* may be of either kind."""
        plain = [each.value if isinstance(each, AsyncDb) else each for each in inputs]
        return await asyncio.to_thread(self.value.q, text, *plain, **options)

    async def explain(self, text: Any, *inputs: Any) -> Any:
        """See :meth:`Db.explain`."""
        return await asyncio.to_thread(self.value.explain, text, *inputs)

    async def pull(self, pattern: Any, e: Any) -> Any:
        """See :meth:`Db.pull`."""
        return await asyncio.to_thread(self.value.pull, pattern, e)

    async def pull_many(self, pattern: Any, es: Iterable[Any]) -> list[Any]:
        """See :meth:`Db.pull_many`."""
        return await asyncio.to_thread(self.value.pull_many, pattern, es)

    async def get(self, e: Any, attribute: Keyword | str, default: Any = None) -> Any:
        """See :meth:`Db.get`."""
        return await asyncio.to_thread(self.value.get, e, attribute, default)

    async def entid(self, e: Any) -> int | None:
        """See :meth:`Db.entid`."""
        return await asyncio.to_thread(self.value.entid, e)

    async def datoms(self, index: Keyword | str, *components: Any) -> list[Datom]:
        """See :meth:`Db.datoms`; all of them at once."""
        return await asyncio.to_thread(lambda: list(self.value.datoms(index, *components)))

    async def log(self, start: Any = 0, end: Any = None) -> list[Datom]:
        """See :meth:`Db.log`; all of them at once."""
        return await asyncio.to_thread(lambda: list(self.value.log(start, end)))

    async def with_(self, forms: Any, **options: Any) -> Report:
        """See :meth:`Db.with_`."""
        return await asyncio.to_thread(self.value.with_, forms, **options)

    def __repr__(self) -> str:
        return f"<Async{repr(self.value)[1:]}"


class AsyncFacts:
    """`s.fact`, awaited."""

    def __init__(self, fact: Facts) -> None:
        self._fact = fact

    async def transact(self, forms: Any, **options: Any) -> Report:
        """See :meth:`Facts.transact`. Concurrent calls share one commit."""
        return await asyncio.to_thread(self._fact.transact, forms, **options)

    async def db(self) -> AsyncDb:
        """See :meth:`Facts.db`."""
        return AsyncDb(await asyncio.to_thread(self._fact.db))

    async def with_(self, forms: Any, **options: Any) -> Report:
        """See :meth:`Facts.with_`."""
        return await asyncio.to_thread(self._fact.with_, forms, **options)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """See :meth:`Facts.listen`; *listener* runs on this event loop."""
        loop = asyncio.get_running_loop()

        def relay(report: Report) -> None:
            loop.call_soon_threadsafe(listener, report)

        return self._fact.listen(relay)


class AsyncOnLine:
    """What can be done on one line of transactions, awaited. See :class:`OnLine`."""

    def __init__(self, line: OnLine) -> None:
        self.fact = AsyncFacts(line.fact)
        self.txn = AsyncTxn(line.txn)
        self.memory = AsyncMemory(line.memory)
        self.spec = line.spec
        self.effect = AsyncEffects(line.effect)
        self.replay = AsyncReplay(line.replay)
        self.plan = AsyncPlanning(line.plan)


class AsyncOnBranch(AsyncOnLine):
    """One branch, awaited, used as the main line is. See :class:`OnBranch`."""

    def __init__(self, branch: OnBranch) -> None:
        super().__init__(branch)
        self.name = branch.name
        self.number = branch.number

    def __repr__(self) -> str:
        return f"<async branch {self.name!r}>"


class AsyncBranches:
    """`s.branch`, awaited."""

    def __init__(self, branch: BranchSpace) -> None:
        self._branch = branch

    async def create(
        self, name: str, *, of: str | Db | AsyncDb = MAIN, author: str | None = None
    ) -> AsyncOnBranch:
        """See :meth:`BranchSpace.create`."""
        start = of.value if isinstance(of, AsyncDb) else of
        made = await asyncio.to_thread(self._branch.create, name, of=start, author=author)
        return AsyncOnBranch(made)

    async def open(self, name: str, *, discarded: bool = False) -> AsyncOnBranch:
        """See :meth:`BranchSpace.open`."""
        return AsyncOnBranch(await asyncio.to_thread(self._branch.open, name, discarded=discarded))

    async def list(self, *, discarded: bool = False) -> Sequence[Line]:
        """See :meth:`Branches.list`."""
        return await asyncio.to_thread(self._branch.list, discarded=discarded)

    async def diff(self, a: str | Db | AsyncDb, b: str | Db | AsyncDb) -> Sequence[Datom]:
        """See :meth:`Branches.diff`."""
        one, other = (each.value if isinstance(each, AsyncDb) else each for each in (a, b))
        return await asyncio.to_thread(self._branch.diff, one, other)

    async def merge(self, source: str, **options: Any) -> Merge:
        """See :meth:`Branches.merge`. Resolvers run in another thread."""
        return await asyncio.to_thread(self._branch.merge, source, **options)

    async def discard(self, name: str, *, author: str | None = None) -> Report:
        """See :meth:`Branches.discard`."""
        return await asyncio.to_thread(self._branch.discard, name, author=author)

    async def transactions(
        self, start: Any = 0, end: Any = None, *, newest: bool = False
    ) -> Sequence[Transaction]:
        """See :meth:`BranchSpace.transactions`; all of them at once."""
        return await asyncio.to_thread(
            lambda: tuple(self._branch.transactions(start, end, newest=newest))
        )


class AsyncAudit:
    """`s.audit`, awaited: what is a property there is called here, because it reads the store."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    async def keys(self) -> Sequence[Key]:
        """See :attr:`Audit.keys`."""
        return await asyncio.to_thread(lambda: self._audit.keys)

    async def origin(self) -> str | None:
        """See :attr:`Audit.origin`."""
        return await asyncio.to_thread(lambda: self._audit.origin)

    async def vkey(self) -> str:
        """See :attr:`Audit.vkey`."""
        return await asyncio.to_thread(lambda: self._audit.vkey)

    async def begin(self) -> Roster:
        """See :meth:`Audit.begin`."""
        return await asyncio.to_thread(self._audit.begin)

    async def use(self, keys: Keyring | str | PathLike[str]) -> None:
        """See :meth:`Audit.use`."""
        await asyncio.to_thread(self._audit.use, keys)

    async def add_key(
        self, role: str | Keyword, name: str, public: bytes, *, namespaces: Iterable[str] = ()
    ) -> Key:
        """See :meth:`Audit.add_key`."""
        return await asyncio.to_thread(
            self._audit.add_key, role, name, public, namespaces=namespaces
        )

    async def rotate_key(self, old: str | bytes, new: bytes) -> Key:
        """See :meth:`Audit.rotate_key`."""
        return await asyncio.to_thread(self._audit.rotate_key, old, new)

    async def revoke_key(self, key: str | bytes) -> Key:
        """See :meth:`Audit.revoke_key`."""
        return await asyncio.to_thread(self._audit.revoke_key, key)

    async def erase(self, entities: Iterable[Any], **options: Any) -> Erasure:
        """See :meth:`Audit.erase`."""
        return await asyncio.to_thread(self._audit.erase, entities, **options)

    async def shred(self) -> Sequence[str]:
        """See :meth:`Audit.shred`."""
        return await asyncio.to_thread(self._audit.shred)

    async def checkpoint(self, *, cosign: Callable[[str], str] | None = None) -> str:
        """See :meth:`Audit.checkpoint`; *cosign* runs in another thread."""
        return await asyncio.to_thread(self._audit.checkpoint, cosign=cosign)

    async def root(self, size: int | None = None) -> bytes:
        """See :meth:`Audit.root`."""
        return await asyncio.to_thread(self._audit.root, size)

    async def consistency(self, old: int, new: int | None = None) -> Sequence[bytes]:
        """See :meth:`Audit.consistency`."""
        return await asyncio.to_thread(self._audit.consistency, old, new)

    async def prove(self, what: int | bytes | Datom, *, checkpoint: str | None = None) -> Proof:
        """See :meth:`Audit.prove`."""
        return await asyncio.to_thread(self._audit.prove, what, checkpoint=checkpoint)

    async def export(self, directory: str | PathLike[str]) -> Checkpoint:
        """See :meth:`Audit.export`."""
        return await asyncio.to_thread(self._audit.export, directory)

    async def verify(self) -> Sequence[Finding]:
        """See :meth:`Audit.verify`."""
        return await asyncio.to_thread(self._audit.verify)


class AsyncSubstrate(AsyncOnLine):
    """A store, opened for asyncio; see :meth:`AsyncSubstrate.open`.

    >>> import asyncio
    >>> async def main():
    ...     async with await AsyncSubstrate.open(":memory:") as s:
    ...         await s.fact.transact([{"user/name": "Ada"}])
    ...         db = await s.fact.db()
    ...         return await db.q("[:find ?n . :where [_ :user/name ?n]]")
    >>> asyncio.run(main())
    'Ada'
    """

    def __init__(self, substrate: Substrate) -> None:
        super().__init__(substrate)
        self._substrate = substrate
        self.branch = AsyncBranches(substrate.branch)
        self.audit = AsyncAudit(substrate.audit)

    @classmethod
    async def open(cls, uri: str | PathLike[str], **options: Any) -> Self:
        """See :meth:`Substrate.open`."""
        return cls(await asyncio.to_thread(lambda: Substrate.open(uri, **options)))

    @property
    def uri(self) -> str:
        """Where the store is, without secrets."""
        return self._substrate.uri

    async def check(self) -> list[Finding]:
        """See :meth:`Substrate.check`."""
        return await asyncio.to_thread(self._substrate.check)

    async def reindex(self) -> int:
        """See :meth:`Substrate.reindex`."""
        return await asyncio.to_thread(self._substrate.reindex)

    async def statistics(self) -> Size:
        """See :meth:`Substrate.statistics`."""
        return await asyncio.to_thread(self._substrate.statistics)

    async def close(self) -> None:
        """See :meth:`Substrate.close`."""
        await asyncio.to_thread(self._substrate.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<AsyncSubstrate {self.uri}>"
