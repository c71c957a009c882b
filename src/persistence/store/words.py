"""The words of a text, cut here so that full text finds the same on every backend.

The tokenizers of the engines disagree on hyphens, addresses and accents. So both index the words
that this module gives, and a search is cut by the same rule.
"""

from __future__ import annotations

import re
from typing import Final

_WORD: Final = re.compile(r"[^\W_]+")
_WORD_LENGTH: Final = 200  # characters; Postgres refuses lexemes of 2 KiB
_TEXT_BYTES: Final = 500_000  # Postgres refuses a tsvector of 1 MiB


def words(text: str) -> list[str]:
    """The words of *text* in order, case folded.

    >>> words("Straße 12, ada-lovelace@example.org")
    ['strasse', '12', 'ada', 'lovelace', 'example', 'org']
    """
    found = [word[:_WORD_LENGTH] for word in _WORD.findall(text.casefold())]
    size = 0
    for count, word in enumerate(found):
        size += len(word.encode()) + 1
        if size > _TEXT_BYTES:
            return found[:count]
    return found
