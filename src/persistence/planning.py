"""`s.plan`: plans in a store, the search for better ones, and those that became skills."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from persistence.connection import Connection
from persistence.effects import Effects
from persistence.errors import EntityNotFound
from persistence.plans import Plan, Plans, Ran, Version
from persistence.search import Found, Searches, SearchInfo
from persistence.skills import Skill, Skills
from persistence.specs import Specs
from persistence.values import Keyword


class Planning(Plans):
    """Plans on one branch of a store; `search` looks for better ones, and `skills` are those that
    were promoted.

    >>> _ = s.plan.save("greet", '[:tool-call {:tool :tool/greet :args {:name "Ada"}}]')
    >>> s.plan.run("greet", {"tool/greet": lambda name: f"Hi {name}"}).value
    'Hi Ada'
    """

    def __init__(
        self, connection: Connection, effect: Effects, specs: Specs, *, branch: int, line: str
    ) -> None:
        def conforms(name: object, value: object) -> object:
            return specs.conform(getattr(name, "name", name), value)

        super().__init__(connection, effect, branch=branch, line=line, specs=conforms)
        self.search = Searches(connection, branch=branch)
        self.skills = Skills(connection, trace=effect.trace, load=self.load, branch=branch)

    def _skill(self, skill: Keyword) -> Plan:
        """What a `:call-skill` calls: a skill that was promoted, or else the plan of that name."""
        try:
            return self.skills.find(skill)
        except EntityNotFound:
            return super()._skill(skill)


class AsyncSearches:
    """`s.plan.search`, awaited: the search runs in a thread, and its functions with it."""

    def __init__(self, search: Searches) -> None:
        self._search = search

    async def __call__(self, root: Any, propose: Any, evaluate: Any, **options: Any) -> Found:
        """See :meth:`Searches.__call__`."""
        return await asyncio.to_thread(self._search, root, propose, evaluate, **options)

    async def rerun(self, id: UUID | str, **options: Any) -> Found:
        """See :meth:`Searches.rerun`."""
        return await asyncio.to_thread(self._search.rerun, id, **options)

    async def resume(self, id: UUID | str, *given: Any, **options: Any) -> Found:
        """See :meth:`Searches.resume`."""
        return await asyncio.to_thread(self._search.resume, id, *given, **options)

    async def list(self) -> list[SearchInfo]:
        """See :meth:`Searches.list`."""
        return await asyncio.to_thread(self._search.list)


class AsyncSkills:
    """`s.plan.skills`, awaited; an approver is a plain function, and is asked in a thread."""

    def __init__(self, skills: Skills) -> None:
        self._skills = skills

    async def promote(self, name: str, plan: Plan, **options: Any) -> Skill:
        """See :meth:`Skills.promote`."""
        return await asyncio.to_thread(self._skills.promote, name, plan, **options)

    async def load(self, name: str, **options: Any) -> Skill:
        """See :meth:`Skills.load`."""
        return await asyncio.to_thread(self._skills.load, name, **options)

    async def find(self, name: str) -> Plan:
        """See :meth:`Skills.find`."""
        return await asyncio.to_thread(self._skills.find, name)

    async def history(self, name: str) -> Sequence[Skill]:
        """See :meth:`Skills.history`."""
        return await asyncio.to_thread(self._skills.history, name)

    async def list(self, **options: Any) -> Sequence[Skill]:
        """See :meth:`Skills.list`."""
        return await asyncio.to_thread(self._skills.list, **options)

    async def retire(self, name: str, why: str) -> None:
        """See :meth:`Skills.retire`."""
        await asyncio.to_thread(self._skills.retire, name, why)


class AsyncPlanning:
    """`s.plan`, awaited: plans run in threads, so their tools are plain functions."""

    def __init__(self, plan: Planning) -> None:
        self._plan = plan
        self.search = AsyncSearches(plan.search)
        self.skills = AsyncSkills(plan.skills)

    def parse(self, source: Any) -> Plan:
        """See :meth:`Plans.parse`; nothing is read."""
        return self._plan.parse(source)

    async def save(self, name: str, plan: Plan | str, **options: Any) -> Plan:
        """See :meth:`Plans.save`."""
        return await asyncio.to_thread(self._plan.save, name, plan, **options)

    async def load(self, name: str | bytes, **options: Any) -> Plan:
        """See :meth:`Plans.load`."""
        return await asyncio.to_thread(self._plan.load, name, **options)

    async def names(self) -> list[str]:
        """See :meth:`Plans.names`."""
        return await asyncio.to_thread(self._plan.names)

    async def history(self, name: str) -> list[Version]:
        """See :meth:`Plans.history`."""
        return await asyncio.to_thread(self._plan.history, name)

    async def edit(self, name: str, path: Sequence[int], change: Any, **options: Any) -> Plan:
        """See :meth:`Plans.edit`."""
        return await asyncio.to_thread(self._plan.edit, name, path, change, **options)

    async def insert_before(
        self, name: str, path: Sequence[int], step: Any, **options: Any
    ) -> Plan:
        """See :meth:`Plans.insert_before`."""
        return await asyncio.to_thread(self._plan.insert_before, name, path, step, **options)

    async def insert_after(self, name: str, path: Sequence[int], step: Any, **options: Any) -> Plan:
        """See :meth:`Plans.insert_after`."""
        return await asyncio.to_thread(self._plan.insert_after, name, path, step, **options)

    async def delete(self, name: str, path: Sequence[int], **options: Any) -> Plan:
        """See :meth:`Plans.delete`."""
        return await asyncio.to_thread(self._plan.delete, name, path, **options)

    async def apply(self, name: str, changes: Any, **options: Any) -> Plan:
        """See :meth:`Plans.apply`."""
        return await asyncio.to_thread(self._plan.apply, name, changes, **options)

    async def run(self, plan: Plan | str, *given: Any, **options: Any) -> Ran:
        """See :meth:`Plans.run`."""
        return await asyncio.to_thread(self._plan.run, plan, *given, **options)

    async def resume(self, run: UUID | str, *given: Any, **options: Any) -> Ran:
        """See :meth:`Plans.resume`."""
        return await asyncio.to_thread(self._plan.resume, run, *given, **options)

    async def rewind(self, run: UUID | str, *given: Any, **options: Any) -> Ran:
        """See :meth:`Plans.rewind`."""
        return await asyncio.to_thread(self._plan.rewind, run, *given, **options)

    async def done(self, run: UUID | str) -> list[tuple[int, ...]]:
        """See :meth:`Plans.done`."""
        return await asyncio.to_thread(self._plan.done, run)
