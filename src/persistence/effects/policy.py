"""Who may do what: rules as data, in front of every operation."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Final

import attrs

from persistence.effects.call import Call
from persistence.effects.handler import Around, Asked, Invoke
from persistence.effects.rules import ASK, Rule, read_rules
from persistence.effects.verdict import DENY, denial, judge
from persistence.errors import EffectDenied, PolicyError
from persistence.values import Keyword, Map

_APPROVER: Final = Keyword("approver")
_APPROVED: Final = Keyword("approved")
_REASON: Final = Keyword("reason")


def _somebody(instance: Any, field: Any, value: Any) -> None:
    if not isinstance(value, str) or not value.strip():
        raise PolicyError(
            f"an approval names who gave it, and this one says {value!r}",
            hint='Approval("ada"), or Approval("ada", False, "too much")',
        )


@attrs.frozen
class Approval:
    """What somebody who was asked has said: who it was, yes or no, and why.

    >>> Approval("ada", False, "not today")
    Approval(approver='ada', approved=False, reason='not today')

    Raises:
        PolicyError: nobody is named.
    """

    approver: str = attrs.field(validator=_somebody)
    approved: bool = attrs.field(default=True, validator=attrs.validators.instance_of(bool))
    reason: str | None = None


Ask = Callable[[Call, Rule], Any]


def policy(rules: Any, *, ask: Ask | None = None, name: str = "policy") -> Around:
    """A guard that lets a call through, refuses it, or asks somebody, by the first rule that
    matches. Where none does, it refuses.

    *rules* are given as EDN, text or data. ``:op`` is an operation, "tool/*", "*" or a vector of
    them; ``:effect`` is :allow, :deny or :ask; ``:when`` are conditions on the arguments, all of
    which must hold: [path operator value] with = != < <= > >= in not-in contains starts-with, or
    [path present], [path absent]. = is the identity of values, so 1 is not 1.0; numbers are
    ordered by value. A condition that cannot be decided, such as "12" > 100, holds where the rule
    denies or asks, and does not where it allows. ``:reason`` and ``:id`` are kept with the verdict.

    *ask* is called with the call and the rule, and gives an `Approval`; in a run that awaits it
    may be a coroutine function. If it raises `PlanStopped` the run stops there, and asks again
    when it is resumed.

    The clock, chance and facts of a run are operations like others: allow "clock/now",
    "random/draw" and "db/*" to an agent that uses them.

    >>> from persistence.effects import Run, Terminal
    >>> careful = policy('''[{:effect :deny :op "bank/*" :when [[:amount > 100]] :id "large"}
    ...                      {:effect :allow :op "*"}]''')
    >>> run = Run("pay", [careful, Terminal("bank", {"bank/pay": lambda amount: "paid"})])
    >>> run.perform("bank/pay", amount=3)
    'paid'
    >>> run.perform("bank/pay", amount=500)
    Traceback (most recent call last):
    ...
    persistence.errors.EffectDenied: :bank/pay was denied by rule 'large' of policy

    Raises:
        PolicyError: rules that cannot be read, or that ask while nobody is there to be asked.
    """
    found = read_rules(rules)
    asking = [rule.id for rule in found if rule.effect is ASK]
    if asking and ask is None:
        raise PolicyError(
            f"rule {asking[0]!r} asks, and there is nobody to be asked",
            hint="give policy(rules, ask=…) a function that gives an Approval",
            place=asking[0],
        )
    return Around(name, _Judge(name, found, ask).handle, guard=True)


class _Judge:
    def __init__(self, name: str, found: tuple[Rule, ...], ask: Ask | None) -> None:
        self._name, self._ask = name, ask
        self._all = [(rule, rule.said(name)) for rule in found]
        self._by_op: dict[Keyword, list[tuple[Rule, Map]]] = {}

    def handle(self, call: Call) -> Generator[Asked, Any, Any]:
        rule, said = self._decided(call)
        judge(call, said)
        if rule is None:
            raise self._default(call, said)
        if rule.effect is DENY:
            raise _denied(call, said, f"rule {rule.id!r} of {self._name}", rule.reason)
        if rule.effect is ASK:
            assert self._ask is not None
            answer = yield Invoke(self._ask, (call, rule))
            self._heard(call, rule, said, answer)
        return (yield call)

    def _decided(self, call: Call) -> tuple[Rule | None, Map]:
        known = self._by_op.get(call.op)
        if known is None:
            known = [each for each in self._all if each[0].covers(call.op)]
            self._by_op[call.op] = known
        for each in known:
            rule = each[0]
            if not rule.when or rule.holds(call.args):
                return each
        return None, denial(self._name, Keyword("default"))

    def _heard(self, call: Call, rule: Rule, said: Map, answer: Any) -> None:
        if not isinstance(answer, Approval):
            raise _denied(call, said, f"{self._name}: nobody approved it", f"ask gave {answer!r}")
        reason = {} if answer.reason is None else {_REASON: answer.reason}
        heard = {_APPROVER: answer.approver, _APPROVED: answer.approved, **reason}
        earlier = call.notes["verdict"]
        call.notes["verdict"] = told = Map({**earlier, **heard})
        if not answer.approved:
            raise _denied(call, told, f"{answer.approver}, asked by {rule.id!r}", answer.reason)

    def _default(self, call: Call, said: Map) -> EffectDenied:
        return EffectDenied(
            f"{call.op} was denied: no rule of {self._name} matches",
            hint=f'what no rule allows is denied; add {{:effect :allow :op "{call.op.name}"}}',
            operation=call.op,
            place=call.place,
            verdict=said,
        )


def _denied(call: Call, said: Map, by: str, reason: str | None) -> EffectDenied:
    why = "" if reason is None else f": {reason}"
    return EffectDenied(
        f"{call.op} was denied by {by}{why}",
        operation=call.op,
        place=call.place,
        verdict=said,
    )
