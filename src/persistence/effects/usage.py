"""What a call of a model cost, as its answer says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import attrs

from persistence.effects.call import Call
from persistence.errors import InputError
from persistence.values import Keyword, Map

_TOKENS: Final = Keyword("tokens")
_MONEY: Final = Keyword("money")
_CALLS: Final = Keyword("calls")

_IN_AND_OUT: Final = ("input_tokens", "prompt_tokens", "output_tokens", "completion_tokens")
_DEPTH: Final = 4  # of maps in maps; what is deeper is what the model said, not the answer's form


@attrs.frozen
class Cost:
    """What something cost, in tokens, money and calls of the outside."""

    tokens: int = 0
    money: Decimal = Decimal(0)
    calls: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.tokens + other.tokens, self.money + other.money, self.calls + other.calls)

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.tokens - other.tokens, self.money - other.money, self.calls - other.calls)

    @property
    def form(self) -> Map | None:
        """As it is recorded; one call of nothing else is not worth a record."""
        told: dict[Keyword, Any] = {}
        if self.tokens:
            told[_TOKENS] = self.tokens
        if self.money:
            told[_MONEY] = self.money
        if self.calls > 1:
            told[_CALLS] = self.calls
        return Map(told) if told else None


NOTHING: Final = Cost()


def cost_of(given: Any) -> Cost:
    """The cost that a function told, or that a step recorded: a map of :tokens, :money, :calls.

    Raises:
        InputError: it is another thing, or a number is negative.
    """
    if isinstance(given, Cost):
        return given
    if given is None:
        return NOTHING
    if not isinstance(given, Mapping):
        raise _bad(f"a cost is a map, and this is {given!r}")
    told = {_name(key): value for key, value in given.items()}
    odd = [key for key in told if key not in ("tokens", "money", "calls")]
    if odd:
        raise _bad(f"a cost has no {odd[0]!r}")
    tokens, calls = told.get("tokens", 0), told.get("calls", 0)
    if type(tokens) is not int or type(calls) is not int or tokens < 0 or calls < 0:
        raise _bad(f"tokens and calls are counted from 0, and this is {given!r}")
    return Cost(tokens, money_of(told.get("money", 0)), calls)


def money_of(given: Any) -> Decimal:
    """An amount of money, which is exact.

    Raises:
        InputError: it is negative or no number.
    """
    try:
        found = Decimal(str(given)) if type(given) in (int, float, str, Decimal) else None
    except InvalidOperation:
        found = None
    if found is None or not found.is_finite() or found < 0:
        raise _bad(f"{given!r} is no amount of money")
    return found


def usage(call: Call, result: Any) -> Cost:
    """The tokens, and the money where it is told, that a model's answer says it used.

    It adds up every map under "usage" or :usage in *result* and in the maps inside of it: there
    ``total_tokens``, or else ``input_tokens`` or ``prompt_tokens`` with ``output_tokens`` or
    ``completion_tokens``, and ``cost``; by string or keyword, with _ or -.

    >>> answer = {"text": "Hi", "usage": {"prompt_tokens": 7, "completion_tokens": 2}}
    >>> usage(Call(Keyword("model/chat"), {}), answer).tokens
    9
    """
    if not isinstance(result, Mapping):
        return NOTHING
    found = NOTHING
    for each in _usages(result, _DEPTH):
        found = found + each
    return found


def _usages(value: Mapping[Any, Any], depth: int) -> Iterator[Cost]:
    for key, item in value.items():
        if isinstance(item, Mapping):
            if (type(key) is str or type(key) is Keyword) and _name(key) == "usage":
                yield _read(item)
            elif depth > 1:
                yield from _usages(item, depth - 1)


def _read(told: Mapping[Any, Any]) -> Cost:
    counts = {_name(key): value for key, value in told.items()}
    total = _count(counts.get("total_tokens"))
    tokens = total or sum(_count(counts.get(name)) for name in _IN_AND_OUT)
    try:
        money = money_of(counts.get("cost", 0))
    except InputError:
        money = Decimal(0)
    return Cost(tokens, money)


def _count(value: Any) -> int:
    return value if type(value) is int and value > 0 else 0


def _name(key: Any) -> str:
    return (key.name if isinstance(key, Keyword) else str(key)).replace("-", "_")


def _bad(message: str) -> InputError:
    return InputError(message, hint='give {"tokens": 12, "money": Decimal("0.03")}')
