"""How states are kept: plans as their text, EDN values as themselves, others as you say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs

from persistence.errors import PersistenceError, SearchError
from persistence.plans import Plan
from persistence.search.moves import identify
from persistence.values import Keyword, Value, freeze


@attrs.frozen
class Codec:
    """*dump* makes an EDN value of a state and *load* the state of the value; *name* stands in
    the record, so that a codec of another name is not taken for this one."""

    name: Keyword
    dump: Callable[[Any], Value] = attrs.field(repr=False)
    load: Callable[[Value], Any] = attrs.field(repr=False)

    def dumped(self, state: Any) -> Value:
        """
        Raises:
            SearchError: *state* cannot be kept like that.
        """
        try:
            return freeze(self.dump(state))
        except (PersistenceError, TypeError, AttributeError) as error:
            raise SearchError(
                f"the state {state!r:.80} cannot be kept as {self.name}",
                hint="a search on record needs states that are plans or EDN values; give a "
                "Codec(name, dump, load) for others",
            ) from error

    def loaded(self, value: Value, id: bytes) -> Any:
        """
        Raises:
            SearchError: the value is not that of the state *id*.
        """
        state = self.load(value)
        if identify(state) != id:
            raise SearchError(
                f"what is kept as state {id.hex()[:16]} is another one",
                hint="verify the log with s.audit.verify()",
                state=id.hex(),
                found=identify(state).hex(),
            )
        return state


PLANS: Final = Codec(Keyword("plan"), str, Plan)
VALUES: Final = Codec(Keyword("value"), freeze, lambda value: value)


def codec_for(root: Any) -> Codec:
    """The codec for states like *root*."""
    return PLANS if isinstance(root, Plan) else VALUES
