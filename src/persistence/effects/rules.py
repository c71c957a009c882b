"""The rules of a policy, read from EDN and checked as a whole, so that none is ever ignored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import attrs

from persistence.effects.conditions import Condition, condition
from persistence.effects.handler import matching
from persistence.effects.verdict import DENY, EFFECT, POLICY, RULE
from persistence.errors import InputError, PolicyError
from persistence.suggestions import meant
from persistence.values import Keyword, List, Map, Set, Value, freeze, keyword, read, write

ALLOW: Final = Keyword("allow")
ASK: Final = Keyword("ask")

_OP: Final = Keyword("op")
_WHEN: Final = Keyword("when")
_REASON: Final = Keyword("reason")
_ID: Final = Keyword("id")
_KEYS: Final = (EFFECT, _OP, _WHEN, _REASON, _ID)
_EFFECTS: Final = (ALLOW, DENY, ASK)


@attrs.frozen
class Rule:
    """What happens to calls of some operations, under some conditions.

    `id` is its own, or ``rule-2`` for the second. `patterns` are names of operations, "tool/*" for
    a namespace, "*" for all.
    """

    id: Value
    effect: Keyword
    patterns: tuple[str, ...]
    when: tuple[Condition, ...] = ()
    reason: str | None = None
    covers: Callable[[Keyword], bool] = attrs.field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "covers", matching(self.patterns))

    def holds(self, args: Mapping[str, Value]) -> bool:
        """Whether every condition holds. One that cannot be decided does so in a rule that denies
        or asks, and does not in one that allows."""
        if self.effect is ALLOW:
            return all(each(args) is True for each in self.when)
        return all(each(args) is not False for each in self.when)

    def said(self, policy: str) -> Map:
        """How a verdict names the rule."""
        reason = {} if self.reason is None else {_REASON: self.reason}
        return Map({POLICY: policy, EFFECT: self.effect, RULE: self.id, **reason})


def read_rules(given: Any) -> tuple[Rule, ...]:
    """The rules that *given* says, which is EDN text or the data itself.

    >>> read_rules('[{:effect :deny :op "bank/*" :when [[:amount > 100]] :id "large"}]')[0].id
    'large'

    Raises:
        PolicyError: a rule cannot be read, or could never apply; `problems` lists every one with
            its place and a fix.
    """
    forms = _forms(given)
    found: list[Rule] = []
    problems: list[tuple[str, str, str | None]] = []
    for number, each in enumerate(forms, 1):
        try:
            rule = _rule(each, number)
            _reachable(rule, found)
        except InputError as error:
            problems.append((f"rule {number}", error.message, error.hint))
        else:
            found.append(rule)
    if problems:
        place, what, fix = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise PolicyError(f"{place}: {what}{more}", hint=fix, place=place, problems=problems)
    return tuple(found)


def _forms(given: Any) -> Iterable[Value]:
    try:
        forms = read(given) if isinstance(given, str) else freeze(given)
    except InputError as error:
        raise PolicyError(
            f"the rules cannot be read: {error}", hint=error.hint, place="the rules", problems=[]
        ) from error
    if not isinstance(forms, tuple):
        raise PolicyError(
            f"rules are a vector of maps, and this is {type(forms).__name__}",
            hint='write them as [{:effect :allow :op "tool/*"}]',
            place="the rules",
            problems=[],
        )
    return forms


def _rule(form: Value, number: int) -> Rule:
    if type(form) is not Map:
        _refuse(f"it is no map but {form!r}", 'write {:effect :allow :op "tool/*"}')
    given = {_known(key): value for key, value in form.items()}
    if len(given) != len(form):
        _refuse("a key comes twice", "leave one of them out")
    for key in (EFFECT, _OP):
        if key not in given:
            _refuse(f"it has no {key}", 'every rule has them: {:effect :deny :op "bank/*"}')
    reason = given.get(_REASON)
    if not isinstance(reason, str | None):
        _refuse(f"its reason is {reason!r}", "a reason is a string")
    id = given.get(_ID, f"rule-{number}")
    if not isinstance(id, str | Keyword):
        _refuse(f"its id is {id!r}", "an id is a string or a keyword")
    return Rule(id, _effect(given[EFFECT]), _patterns(given[_OP]), _when(given), reason)


def _known(key: Value) -> Keyword:
    named = keyword(key) if isinstance(key, str) else key
    if named not in _KEYS:
        names = [str(each) for each in _KEYS]
        hint = meant(str(named), names) or f"a rule has {', '.join(names)}"
        _refuse(f"it has a key {named} that means nothing", hint)
    return named


def _effect(form: Value) -> Keyword:
    effect = keyword(form) if isinstance(form, str) else form
    if effect not in _EFFECTS:
        _refuse(f"its effect is {write(form)}", "an effect is :allow, :deny or :ask")
    return effect


def _patterns(form: Value) -> tuple[str, ...]:
    several = form if isinstance(form, tuple | Set | List) else (form,)
    if not several:
        _refuse("its :op is empty", 'name an operation, "tool/*" or "*"')
    found = []
    for each in several:
        if not isinstance(each, str | Keyword):
            _refuse(f"its :op is {each!r}", 'name an operation, "tool/*" or "*"')
        name = str(keyword(each)).removeprefix(":")
        if "*" in name.removesuffix("/*") and name != "*":
            _refuse(
                f"its :op is {name!r}, and a star stands for all of a namespace only",
                'write "tool/*" or "*"',
            )
        found.append(name)
    return tuple(found)


def _when(given: Mapping[Keyword, Value]) -> tuple[Condition, ...]:
    form = given.get(_WHEN, ())
    if not isinstance(form, tuple) or (form and not isinstance(form[0], tuple)):
        _refuse(":when is no vector of conditions", "write :when [[:amount > 100]]")
    return tuple(condition(each) for each in form)


def _reachable(rule: Rule, before: list[Rule]) -> None:
    """Refuses a rule that the ones before it leave nothing to, or that has the id of another."""
    if any(each.id == rule.id for each in before):
        _refuse(f"another rule has the id {rule.id!r}", "give each an id of its own")
    all_of = [each for each in before if not each.when]
    taken = {pattern for each in all_of for pattern in each.patterns}
    if all(_taken(pattern, taken) for pattern in rule.patterns):
        _refuse(
            "it can never apply: rules before it decide every such call",
            "the first rule that matches decides; put the special ones first",
        )


def _taken(pattern: str, taken: set[str]) -> bool:
    space, slash, _ = pattern.partition("/")
    return "*" in taken or pattern in taken or (bool(slash) and f"{space}/*" in taken)


def _refuse(what: str, fix: str) -> None:
    raise PolicyError(what, hint=fix)
