"""Regular expressions in queries, as values and with bounded work.

A pattern is the EDN value `#regex "…"`, so it can be found, joined and compared like any other.
Python's matcher backtracks: a pattern like `(a+)+` takes time exponential in the text, and no
time budget can stop it. Patterns that could do so are refused before they run.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from persistence.errors import LimitExceeded, QueryError
from persistence.values import Symbol, Tagged

PATTERN_CHARS: Final = 1_000  # longer ones are data, not something that somebody wrote
TEXT_CHARS: Final = 1_000_000  # a search is at worst quadratic in this

_TAG = Symbol("regex")
_TOKEN = re.compile(
    r"""\\. | \[\^?\]?(?:\\.|[^\]\\])*\] | \(\?\#[^)]*\) | \(\?[aiLmsux]+\)
    | (?P<open>\((?:\?(?P<kind><?[=!]|[:>]|P?<\w+>|[aiLmsux-]+:))?)
    | (?P<close>\)) | (?P<bar>\|)
    | (?P<repeat>[*+?]|\{\d*,\d*\}|\{\d+\})(?P<mode>[+?]?) | .""",
    re.VERBOSE | re.DOTALL,
)
_BACKREFERENCE = re.compile(r"\\[1-9]|\(\?P=|\(\?\(")


def pattern(text: Any) -> Tagged:
    """The pattern value of *text*.

    >>> pattern("a+b")
    Tagged(Symbol('regex'), 'a+b')

    Raises:
        QueryError: it is no regular expression, or one that could backtrack without end.
    """
    compiled(text)
    return text if type(text) is Tagged else Tagged(_TAG, text)


def find(regex: Any, text: Any) -> Any:
    """The first match: its text, or a vector of the match and its groups; nil without one.

    >>> find("b+", "abbc"), find("(a)(x)?", "abc"), find("z", "abc")
    ('bb', ('a', 'a', None), None)
    """
    return _shown(compiled(regex).search(_bounded(text)))


def matches(regex: Any, text: Any) -> Any:
    """The match of all of *text*, shown as `find` shows it."""
    return _shown(compiled(regex).fullmatch(_bounded(text)))


def every(regex: Any, text: Any) -> Any:
    """The vector of all matches; nil without one.

    >>> every("[0-9]+", "12 and 34")
    ('12', '34')
    """
    found = tuple(_shown(match) for match in compiled(regex).finditer(_bounded(text)))
    return found or None


def compiled(regex: Any) -> re.Pattern[str]:
    """The compiled form of a pattern value or of its text."""
    if type(regex) is Tagged and regex.tag is _TAG:
        regex = regex.value
    if type(regex) is not str:
        raise TypeError(f"{regex!r} is no pattern")
    return _compiled(regex)


@lru_cache(maxsize=256)
def _compiled(text: str) -> re.Pattern[str]:
    if len(text) > PATTERN_CHARS:
        raise LimitExceeded(
            f"a regular expression has at most {PATTERN_CHARS} characters",
            limit="pattern_chars",
            allowed=PATTERN_CHARS,
            found=len(text),
        )
    try:
        ready = re.compile(text)
    except re.error as error:
        raise QueryError(f"{text!r} is no regular expression: {error}", pattern=text) from None
    reason = _unbounded(text)
    if reason is not None:
        raise QueryError(
            f"the pattern {text!r} could take exponential time: {reason}",
            hint="make the inner repetition possessive (a++), or register a function",
            pattern=text,
        )
    return ready


def _unbounded(text: str) -> str | None:
    """Why matching *text* could take exponential time, or None.

    That needs a repeated group that can match one text in several ways. A group is taken to be
    so when it holds a repetition that gives back, or alternatives that may begin alike.
    """
    if _BACKREFERENCE.search(text):
        return "it refers back to a group"
    groups: list[tuple[list[str], bool, bool]] = [([""], False, False)]  # heads, loose, atomic
    closed: tuple[bool, bool] | None = None
    for token in _TOKEN.finditer(text):
        heads, loose, atomic = groups[-1]
        was, closed = closed, None
        if token["open"]:
            if not heads[-1]:
                heads[-1] = "("
            groups.append(([""], False, token["kind"] == ">"))
        elif token["close"]:
            groups.pop()
            alike = len(heads) > 1 and (
                len(set(heads)) < len(heads) or not all(head.isalnum() for head in heads)
            )
            closed = (not atomic and (loose or alike), atomic)
            if closed[0]:
                groups[-1] = (groups[-1][0], True, groups[-1][2])
        elif token["bar"]:
            heads.append("")
        elif token["repeat"]:
            possessive = token["mode"] == "+"
            endless = token["repeat"] in "*+" or token["repeat"].endswith(",}")
            fixed = token["repeat"][0] == "{" and "," not in token["repeat"]
            if was is not None and was[0] and endless and not possessive:
                return "a repeated group can match one text in several ways"
            if not possessive and not fixed:
                groups[-1] = (heads, True, atomic)
        elif not heads[-1]:
            heads[-1] = token[0].lower()  # a flag may make the case irrelevant
    return None


def _bounded(text: Any) -> str:
    if type(text) is not str:
        raise TypeError(f"{text!r} is not a string")
    if len(text) > TEXT_CHARS:
        raise LimitExceeded(
            f"a regular expression searches at most {TEXT_CHARS} characters",
            limit="text_chars",
            allowed=TEXT_CHARS,
            found=len(text),
        )
    return text


def _shown(match: re.Match[str] | None) -> Any:
    if match is None:
        return None
    return (match[0], *match.groups()) if match.re.groups else match[0]
