"""What the caller's functions may give: moves with their priors, and scores with their cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from numbers import Real
from typing import Any, Final, TypeAlias

import attrs

from persistence.errors import PersistenceError, SearchError
from persistence.values import Value, freeze, value_id

Propose: TypeAlias = Callable[[Any], Any]
Evaluate: TypeAlias = Callable[[Any], Any]
Cross: TypeAlias = Callable[[Any, Any], Any]

LARGEST: Final = 1e100  # of a score: sums of many stay finite, and no scale of scores needs more


@attrs.frozen
class Proposed:
    """The moves of a state, and what it took to find them."""

    moves: Iterable[Any]
    tokens: int = 0
    cost: float = 0.0


@attrs.frozen
class Scored:
    """The score of a state, and what it took to find it; higher is better."""

    score: float
    tokens: int = 0
    cost: float = 0.0


@attrs.frozen
class Move:
    """One move: its label, the state it leads to, that state's id and the prior."""

    label: Value
    state: Any
    id: bytes
    prior: float = 1.0


def identify(state: Any) -> bytes:
    """The id of *state*: its own, or the content id of an EDN value.

    >>> identify("a") == identify("a") != identify("b")
    True

    Raises:
        ValueRefused: it has no `id` of bytes and is no EDN value.
    """
    own = getattr(state, "id", None)
    return own if type(own) is bytes else value_id(freeze(state))


def finite(number: Any) -> float | None:
    """*number* as a float; None if it is no number, or none that is finite.

    >>> finite(3), finite(True), finite(float("nan")), finite(10**400)
    (3.0, None, None, None)
    """
    if isinstance(number, bool) or not isinstance(number, Real):
        return None
    try:
        found = float(number)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def moves_of(given: Any, root: Any, told: str) -> Proposed:
    """The moves that a call gave, each with the id of its state.

    Raises:
        SearchError: one is no move, or leads to what is no state; *told* says of which call.
    """
    tokens, cost = (given.tokens, given.cost) if type(given) is Proposed else (0, 0.0)
    _check_cost(tokens, cost, told)
    try:
        each = list(given.moves if type(given) is Proposed else given)
    except TypeError as error:
        raise SearchError(
            f"{told} gives {given!r:.80}", hint="give a sequence of (label, state, prior)"
        ) from error
    return Proposed(tuple(_move(part, root, told) for part in each), tokens, float(cost))


def _move(given: Any, root: Any, told: str) -> Move:
    if type(given) is Move:
        given = (given.label, given.state, given.prior)
    if type(given) not in (tuple, list) or len(given) not in (2, 3):
        raise SearchError(
            f"{told} gives {given!r:.80}, which is no move",
            hint="a move is (label, state) or (label, state, prior)",
            move=given,
        )
    label, state, prior = given if len(given) == 3 else (*given, 1.0)
    weight = finite(prior)
    if weight is None or weight < 0:
        raise SearchError(
            f"{told} gives the move {label!r:.80} the prior {prior!r:.40}",
            hint="a prior is a finite number, 0 or more; they need not add up to 1",
            move=label,
        )
    return Move(_label(label, told), state, _id(label, state, root, told), weight)


def _label(label: Any, told: str) -> Value:
    try:
        return freeze(label)
    except PersistenceError as error:
        raise SearchError(
            f"{told} labels a move {label!r:.80}",
            hint="a label is a value that can be kept, such as a text",
            move=label,
        ) from error


def _id(label: Any, state: Any, root: Any, told: str) -> bytes:
    own = type(getattr(root, "id", None)) is bytes
    try:
        if own and type(state) is not type(root):
            raise TypeError
        return identify(state)
    except (PersistenceError, TypeError) as error:
        wanted = f"no {type(root).__name__}" if own else "no value that can be kept"
        raise SearchError(
            f"{told} gives a move {label!r:.80} to {state!r:.80}, which is {wanted}",
            hint="let the move give a state like the root, or leave the move out",
            move=label,
        ) from error


def score_of(given: Any, told: str) -> Scored:
    """The score that a call gave.

    Raises:
        SearchError: it is no finite number; *told* says of which call.
    """
    scored = given if type(given) is Scored else Scored(given)
    score = finite(scored.score)
    if score is None or abs(score) > LARGEST:
        raise SearchError(
            f"{told} gives the score {scored.score!r:.40}",
            hint="a score is a finite number, up to 1e100 either way; give a state that cannot be "
            "judged a low one",
            score=scored.score,
        )
    _check_cost(scored.tokens, scored.cost, told)
    return Scored(score, scored.tokens, float(scored.cost))


def _check_cost(tokens: Any, cost: Any, told: str) -> None:
    price = finite(cost)
    if type(tokens) is not int or tokens < 0 or price is None or price < 0:
        raise SearchError(
            f"{told} cost {tokens!r:.40} tokens and {cost!r:.40}",
            hint="tokens are a whole number and cost a finite one, 0 or more",
        )
