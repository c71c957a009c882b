"""What narrows another spec: bounds, patterns, predicates, and a text that describes it.

A constraint stands by itself or in `Annotated[X, constraint]`; there `on` puts it upon X.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import attrs

from persistence.errors import InputError
from persistence.specs.atoms import ANY, TEXT, sizes
from persistence.specs.problems import Bad, bad, shown
from persistence.specs.spec import Draws, Json, Schemas, Spec, Walk


class Upon(Spec):
    """What stands upon another spec: that one parses, and what it gives is then `checked`."""

    __slots__ = ()

    base: Spec

    def parse(self, value: Any, depth: int, walk: Walk) -> Any:
        return self.checked(self.base.parse(value, depth, walk))

    def parse_key(self, value: Any, depth: int, walk: Walk) -> Any:
        return self.checked(self.base.parse_key(value, depth, walk))

    def checked(self, found: Any) -> Any:
        """What the base made of a value, or a `Bad`."""
        raise NotImplementedError

    def schema(self, out: Schemas) -> Json:
        return self.base.schema(out)

    def key_schema(self, out: Schemas) -> Json:
        return self.base.key_schema(out)


@attrs.frozen(eq=False, repr=False)
class Bounded(Upon):
    """A value from *lo* to *hi*, both included."""

    base: Spec
    lo: Any
    hi: Any

    @property
    def range(self) -> str:
        if self.hi is None:
            return f"at least {shown(self.lo)}"
        return f"at most {shown(self.hi)}" if self.lo is None else self._from_to()

    def _from_to(self) -> str:
        return f"from {shown(self.lo)} to {shown(self.hi)}"

    @property
    def wants(self) -> str:
        return f"{self.base.wants} {self.range}"

    @property
    def fix(self) -> str:
        return f"give {self.wants}"

    def on(self, base: Spec) -> Bounded:
        """The same bounds for *base*."""
        return attrs.evolve(self, base=base)

    def checked(self, found: Any) -> Any:
        if type(found) is Bad:
            return found
        try:
            above = self.lo is None or self.lo <= found
            if above and (self.hi is None or found <= self.hi):
                return found
        except TypeError:
            pass
        return bad(f"expected {self.wants}", self.fix, shown(found))

    def schema(self, out: Schemas) -> Json:
        found = self.base.schema(out)
        if type(self.lo) in (int, float):
            found = {**found, "minimum": self.lo}
        return {**found, "maximum": self.hi} if type(self.hi) in (int, float) else found

    def strategy(self, draw: Draws) -> Any:
        between = getattr(self.base, "between", None)
        drawn = self.base.strategy(draw) if between is None else between(draw, self.lo, self.hi)
        return drawn.filter(lambda value: type(self.checked(value)) is not Bad)


@attrs.frozen(repr=False)
class Size:
    """How many characters or parts something may have; to be put on a spec."""

    least: int
    most: int | None

    def on(self, base: Spec) -> Spec:
        """*base*, of that size.

        Raises:
            InputError: its values have no size.
        """
        if not hasattr(base, "least"):
            raise InputError(
                f"{base.wants} has no size", hint="size text, lists, sets and maps", base=base
            )
        return attrs.evolve(base, least=self.least, most=self.most)  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"<{sizes(self.least, self.most, 'parts')}>"


@attrs.frozen(eq=False, repr=False)
class Regex(Spec):
    """Text that a pattern matches from its first to its last character."""

    pattern: str
    match: Callable[[str], Any]

    @property
    def wants(self) -> str:
        return f"text that matches {shown(self.pattern)}"

    @property
    def fix(self) -> str:
        return f"give {self.wants}"

    def on(self, base: Spec) -> Spec:
        """This pattern for text, or for what *base* takes as text."""
        return self if base is TEXT else Both(base, self)

    def parse(self, value: Any, depth: int, walk: Walk) -> Any:
        found = TEXT.parse(value, depth, walk)
        if type(found) is Bad or self.match(found):
            return found
        return bad(f"expected {self.wants}", self.fix, shown(value))

    def schema(self, out: Schemas) -> Json:
        return {"type": "string", "pattern": f"^(?:{self.pattern})$"}

    def strategy(self, draw: Draws) -> Any:
        drawn = draw.st.from_regex(re.compile(self.pattern), fullmatch=True)
        return drawn.filter(lambda text: type(TEXT.parse(text, 0, Walk({}))) is not Bad)


@attrs.frozen(eq=False, repr=False)
class Pred(Upon):
    """What *base* takes and *holds* says yes to."""

    base: Spec
    holds: Callable[[Any], Any]
    wants: str
    fix: str
    draws: Any = None

    def on(self, base: Spec) -> Spec:
        """The same predicate upon *base*."""
        return attrs.evolve(self, base=base) if self.base is ANY else Both(base, self)

    def checked(self, found: Any) -> Any:
        if type(found) is Bad:
            return found
        try:
            if self.holds(found):
                return found
            return bad(f"expected {self.wants}", self.fix, shown(found))
        except Exception as raised:  # what a predicate raises is about the value it was given
            why = f"expected {self.wants}; the check raised {type(raised).__name__}"
            return bad(why, self.fix, shown(found))

    def strategy(self, draw: Draws) -> Any:
        drawn = self.base.strategy(draw) if self.draws is None else self.draws
        return drawn.filter(lambda value: type(self.checked(value)) is not Bad)


@attrs.frozen(eq=False, repr=False)
class Both(Spec):
    """What *first* makes of a value, if *second* takes that."""

    first: Spec
    second: Spec

    @property
    def wants(self) -> str:
        return f"{self.first.wants}, and {self.second.wants}"

    @property
    def fix(self) -> str:
        return self.second.fix

    def parse(self, value: Any, depth: int, walk: Walk) -> Any:
        found = self.first.parse(value, depth, walk)
        return found if type(found) is Bad else self.second.parse(found, depth, walk)

    def parse_key(self, value: Any, depth: int, walk: Walk) -> Any:
        found = self.first.parse_key(value, depth, walk)
        return found if type(found) is Bad else self.second.parse(found, depth, walk)

    def schema(self, out: Schemas) -> Json:
        return {"allOf": [self.first.schema(out), self.second.schema(out)]}

    def strategy(self, draw: Draws) -> Any:
        walk = Walk(draw.registry)
        drawn = self.first.strategy(draw)
        return drawn.filter(lambda value: type(self.second.parse(value, 0, walk)) is not Bad)


@attrs.frozen(eq=False, repr=False)
class Described(Upon):
    """A spec with a text that says what the value is for; schemas carry it."""

    base: Spec
    text: str

    @property
    def wants(self) -> str:
        return self.base.wants

    @property
    def fix(self) -> str:
        return self.base.fix

    def checked(self, found: Any) -> Any:
        return found

    def schema(self, out: Schemas) -> Json:
        return {**self.base.schema(out), "description": self.text}

    def strategy(self, draw: Draws) -> Any:
        return self.base.strategy(draw)


def regex_of(pattern: str) -> Regex:
    """
    Raises:
        InputError: *pattern* is none, or sets flags for all of itself, which no schema can say.
    """
    try:
        re.compile(f"^(?:{pattern})$")  # flags inside of it would have to stand at the start
        return Regex(pattern, re.compile(pattern).fullmatch)
    except (re.error, TypeError, RecursionError, OverflowError) as error:
        raise InputError(
            f"{shown(pattern)} is no pattern: {error}",
            hint="write a regular expression without flags for the whole, such as [A-Z]{3}",
        ) from None


def narrowed(base: Spec, constraint: Any) -> Spec:
    """What `Annotated[base, constraint]` means; what is no constraint has no meaning here.

    Raises:
        InputError: the constraint cannot be put on *base*.
    """
    if type(constraint) is str:
        return Described(base, constraint)
    if isinstance(base, Described) and isinstance(constraint, Size | Bounded | Regex | Pred):
        return Described(narrowed(base.base, constraint), base.text)
    if isinstance(constraint, Size | Bounded | Regex | Pred):
        return constraint.on(base)
    return Both(base, constraint) if isinstance(constraint, Spec) else base
