"""`s.plan.skills`: plans that are used by name, because they were shown to be better."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import attrs

from persistence.audit.finding import Finding
from persistence.auditing import Audit
from persistence.connection import Connection
from persistence.db import Db
from persistence.effects import Trace
from persistence.errors import EntityNotFound, InputError, PromotionRefused
from persistence.ids import tx_position
from persistence.plans import Plan
from persistence.session import WriterBase
from persistence.skills import facts
from persistence.skills.approval import Approval, Approver, Request, flaws, said
from persistence.skills.evidence import FEWEST, Case, Evidence, Gain
from persistence.skills.runs import Verifier
from persistence.values import Keyword, keyword

MINIMUM: Final = 8  # cases: fewer show a gain only if it is large and steady
CONFIDENCE: Final = 0.95
_SHOWN: Final = 3  # findings of the audit in a refusal


@attrs.frozen
class Skill:
    """A plan that was promoted, as a database value has it.

    `version` counts the promotions of the name, `cases` and `gain` are the evidence of this one.
    `retired` is the reason why it is no longer used, None while it is.
    """

    name: str
    plan: Plan
    version: int
    approval: Approval
    gain: Gain
    cases: tuple[Case, ...] = attrs.field(repr=False)
    retired: str | None = None


class Skills:
    """Skills on one branch of a store.

    *trace* gives the trace of a run and *load* the plan of an id: `s.effect.trace` and
    `s.plan.load`. *verify* gives the findings of the audit, by default of all of the store.

    >>> from persistence.plans import Plan
    >>> from persistence.skills import Evidence
    >>> nothing = Evidence((), training=())
    >>> s.plan.skills.promote("x", Plan("[:seq {}]"), evidence=nothing, approver=lambda asked: None)
    Traceback (most recent call last):
    ...
    persistence.errors.PromotionRefused: 'x' is not promoted; 2 things are missing:
      - 8 held-out cases are needed, and there are 0
      - no gain can be measured
    """

    def __init__(
        self,
        connection: Connection,
        *,
        trace: Callable[[UUID], Trace],
        load: Callable[[bytes], Plan],
        verify: Callable[[], Sequence[Finding]] | None = None,
        branch: int = 0,
    ) -> None:
        self._connection, self._branch = connection, branch
        self._verifier = Verifier(trace, load)
        self._verify = verify or Audit(connection).verify

    # ------------------------------------------------------------------ promoting

    def promote(
        self,
        name: str | Keyword,
        plan: Plan,
        *,
        evidence: Evidence,
        approver: Approver,
        minimum: int = MINIMUM,
        margin: float = 0.0,
        confidence: float = CONFIDENCE,
    ) -> Skill:
        """Lets *name* stand for *plan*, if the evidence is there and somebody approves.

        Needed are: *minimum* cases, all of them held out and none counted twice; runs on record
        that have ended and that, replayed by the plan, are what the record says; a gain over the
        baseline whose lower bound, see `Gain`, is above *margin*; an audit without findings; and
        the `Approval` that *approver*, asked last, gives for the `Request`. Nobody approves by
        default. A name that stands for a plan already gets a new version.

        Raises:
            PromotionRefused: something is missing; `missing` in its data lists all of it.
            InputError: the bar itself is none: a *minimum* below 5, a *margin* below 0.
        """
        text = _name(name)
        _check_bar(minimum, margin, confidence)
        _check_given(plan, evidence)
        missing = [*evidence.flaws(minimum), *self._verifier.flaws(plan, evidence)]
        found = evidence.gain(confidence)
        missing += [*_too_little(found, margin), *self._findings()]
        if not callable(approver):
            missing.append("there is nobody to approve: an approver is a function of the request")
        if missing or found is None:
            raise _refused(text, missing)
        before = self._found(text)
        approval = approver(
            Request(text, plan, evidence, found, None if before is None else before.plan)
        )
        if wanting := flaws(approval):
            raise _refused(text, wanting)
        assert approval is not None
        self._write(text, before, plan, evidence, found, margin, approval)
        return self.load(text)

    def _findings(self) -> list[str]:
        findings = list(self._verify())
        told = "; ".join(map(str, findings[:_SHOWN]))
        return [f"the audit has {len(findings)} findings: {told}"] if findings else []

    def _write(
        self,
        name: str,
        before: Skill | None,
        plan: Plan,
        evidence: Evidence,
        found: Gain,
        margin: float,
        approval: Approval,
    ) -> None:
        self._declare()
        version = 0 if before is None else before.version

        def decide(base: WriterBase) -> list[Any]:
            now = base.value().get((facts.NAME, name), facts.VERSION, 0)
            if now != version:
                raise _refused(name, [f"meanwhile version {now} was promoted: ask again"])
            return facts.promotion(name, version + 1, plan, evidence, found, margin, approval)

        self._connection.decided(decide, branch=self._branch)

    def _declare(self) -> None:
        if missing := facts.undeclared(self._connection.db(self._branch).schema):
            self._connection.transact(missing, branch=self._branch)

    def retire(self, name: str | Keyword, why: str) -> None:
        """Takes a skill out of use from now on; its versions stay in history.

        Raises:
            EntityNotFound: there is no such skill in use.
            InputError: *why* gives no reason.
        """
        text = _name(name)
        if not said(why):
            raise InputError(
                f"{why!r:.80} gives no reason", hint="say in words why it is retired", why=why
            )
        self.load(text)
        skill = (facts.NAME, text)
        self._connection.transact(
            [
                ["db/cas", skill, facts.STATUS, facts.PROMOTED, facts.RETIRED],
                ["db/add", skill, facts.WHY, why],
            ],
            branch=self._branch,
        )

    # -------------------------------------------------------------------- reading

    def load(self, name: str | Keyword, *, db: Db | None = None) -> Skill:
        """The skill that is in use under *name*; with *db*, as that database value has it.

        Raises:
            EntityNotFound: there is none, or it was retired.
        """
        text = _name(name)
        found = self._found(text, db)
        if found is None:
            raise EntityNotFound(
                f"there is no skill {text!r:.80}",
                hint="s.plan.skills.list() has those there are",
                name=text,
            )
        if found.retired is not None:
            raise EntityNotFound(
                f"the skill {text!r:.80} was retired: {found.retired}",
                hint="promote it again, or load it with db= from before",
                name=text,
                why=found.retired,
            )
        return found

    def find(self, name: str | Keyword) -> Plan:
        """The plan that is in use under *name*: the `skills=` of a plan's run.

        Raises:
            EntityNotFound: there is none, or it was retired.
        """
        return self.load(name).plan

    def history(self, name: str | Keyword) -> list[Skill]:
        """Every version of a skill, the earliest first, as it was when it was promoted.

        Raises:
            EntityNotFound: there never was such a skill.
        """
        text, db = _name(name), self._connection.db(self._branch)
        if self._found(text, db) is None:
            self.load(text)
        rows = db.history().q(
            "[:find ?tx ?n :in $ ?name"
            " :where [?s :skill/name ?name] [?s :skill/version ?n ?tx true]]",
            text,
        )
        found = [self._found(text, db.as_of(tx_position(tx))) for tx, _ in sorted(rows)]
        return [each for each in found if each is not None]

    def list(self, *, retired: bool = False, db: Db | None = None) -> list[Skill]:
        """The skills in use, by name; with *retired*, those that are not as well."""
        shown = self._connection.db(self._branch) if db is None else db
        if shown.schema[facts.NAME].entity is None:
            return []
        names = sorted(shown.q("[:find [?name ...] :where [_ :skill/name ?name]]"))
        found = [skill for name in names if (skill := self._found(name, shown)) is not None]
        return [each for each in found if retired or each.retired is None]

    def _found(self, name: str, db: Db | None = None) -> Skill | None:
        shown = self._connection.db(self._branch) if db is None else db
        if shown.schema[facts.NAME].entity is None:
            return None
        e = shown.entid((facts.NAME, name))
        held = None if e is None else shown.pull("[* {:skill/evidence [*]}]", e)
        return None if not held or facts.PLAN not in held else _skill(held)


def _skill(held: Mapping[Keyword, Any]) -> Skill:
    evidence = held[facts.EVIDENCE]
    cases = tuple(map(facts.case_of, evidence[facts.CASES]))
    at: datetime = held[facts.AT]
    return Skill(
        held[facts.NAME],
        Plan(held[facts.PLAN]),
        held[facts.VERSION],
        Approval(held[facts.BY], at, held[facts.REASON]),
        Gain(evidence[facts.GAIN], evidence[facts.BOUND], len(cases), evidence[facts.CONFIDENCE]),
        cases,
        held.get(facts.WHY),
    )


def _too_little(found: Gain | None, margin: float) -> list[str]:
    if found is None:
        return ["no gain can be measured"]
    if found.bound > margin:
        return []
    return [
        f"the gain is {found.mean:.4g} on {found.cases} cases, which at a confidence of "
        f"{found.confidence:g} is more than {found.bound:.4g}; it has to be more than {margin:g}"
    ]


def _name(name: str | Keyword) -> str:
    """
    Raises:
        ValueRefused: *name* is none that a plan could call a skill by.
    """
    return keyword(name).name


def _check_bar(minimum: Any, margin: Any, confidence: Any) -> None:
    if type(minimum) is not int or minimum < FEWEST:
        raise InputError(
            f"a minimum of {minimum!r:.40} cases", hint=f"ask for {FEWEST} cases or more"
        )
    if type(margin) not in (int, float) or not margin >= 0:
        raise InputError(f"a margin of {margin!r:.40}", hint="ask for a gain of more than 0")
    if type(confidence) is not float or not 0.5 < confidence < 1:
        raise InputError(
            f"a confidence of {confidence!r:.40}", hint="give one between 0.5 and 1, such as 0.95"
        )


def _check_given(plan: Any, evidence: Any) -> None:
    for what, kind, given in (("plan", Plan, plan), ("evidence", Evidence, evidence)):
        if not isinstance(given, kind):
            raise PromotionRefused(
                f"{given!r:.80} is no {what}",
                hint=f"give a {kind.__name__}",
                missing=[f"a {kind.__name__}"],
            )


def _refused(name: str, missing: list[str]) -> PromotionRefused:
    lines = "\n".join(f"  - {each}" for each in missing)
    return PromotionRefused(
        f"{name!r:.80} is not promoted; {len(missing)} things are missing:\n{lines}",
        hint="a skill needs held-out cases, runs that replay, a measured gain, an audit without "
        "findings and somebody who approves",
        name=name,
        missing=missing,
    )
