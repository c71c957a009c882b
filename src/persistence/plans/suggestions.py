"""What somebody meant who wrote a name that is not there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["meant"]


def meant(written: str, known: Iterable[str]) -> str | None:
    """A question with the name that comes closest, or None when none does.

    >>> meant(":tol", [":tool", ":args"]), meant(":xyz", [":tool"])
    ('did you mean :tool?', None)
    """
    closest = difflib.get_close_matches(written, list(known), n=1, cutoff=0.6)
    return f"did you mean {closest[0]}?" if closest else None
