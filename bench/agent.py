"""The state of an agent: named values, of which every step changes one; the same for everybody."""

from __future__ import annotations

import random
from collections.abc import Iterator

SEED = 30_000
VALUE = 100  # characters; a sentence, an address, a short note


def initial(keys: int) -> dict[str, str]:
    """The values before the first step.

    >>> list(initial(2)), {len(value) for value in initial(2).values()}
    (['k000', 'k001'], {100})
    """
    draw = random.Random(SEED)
    return {f"k{number:03}": _value(draw) for number in range(keys)}


def changes(keys: int, steps: int) -> Iterator[tuple[str, str]]:
    """The key and the new value of each step."""
    draw = random.Random(SEED + 1)
    for _ in range(steps):
        yield f"k{draw.randrange(keys):03}", _value(draw)


def state(keys: int, steps: int) -> dict[str, str]:
    """All values after so many steps."""
    values = initial(keys)
    values.update(changes(keys, steps))
    return values


def _value(draw: random.Random) -> str:
    return draw.randbytes(VALUE // 2).hex()
