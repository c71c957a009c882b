"""What somebody meant who wrote a name that is not there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["meant", "nearest"]

_LONGEST = 200  # characters; what is longer is no misspelled name, and takes long to compare


def nearest(written: str, known: Iterable[str]) -> str | None:
    """The name among *known* that comes closest to *written*, or None when none does.

    >>> nearest("serach", ["book", "search"])
    'search'
    """
    if len(written) > _LONGEST:
        return None
    return next(iter(difflib.get_close_matches(written, list(known), n=1)), None)


def meant(written: str, known: Iterable[str]) -> str | None:
    """A question with the name that comes closest, or None when none does.

    >>> meant(":tol", [":tool", ":args"]), meant(":xyz", [":tool"])
    ('did you mean :tool?', None)
    """
    found = nearest(written, known)
    return None if found is None else f"did you mean {found}?"
