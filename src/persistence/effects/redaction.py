"""Keeps secrets out of the record: passwords and keys, by name, by form, or by place."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from persistence.effects.handler import Around, matching
from persistence.effects.hiding import each_text, mapped, rebuilt
from persistence.errors import InputError, PolicyError
from persistence.query.regex import TEXT_CHARS, compiled
from persistence.values import Keyword, Map, Value, encode

SECRET_KEYS: Final = (
    *("password", "passwd", "passphrase", "pwd", "secret", "secrets", "client-secret"),
    *("token", "access-token", "refresh-token", "id-token", "auth-token", "session-token"),
    *("bearer-token", "api-token", "api-key", "x-api-key", "api-secret", "authorization"),
    *("proxy-authorization", "cookie", "set-cookie", "credential", "credentials", "secret-key"),
    *("secret-access-key", "private-key", "signing-key", "connection-string"),
)
"""The names of what is secret, whatever their case, and whether they are written with - or _."""

REDACTED: Final = "[redacted]"
_SHORTEST: Final = 6  # characters of a secret that is looked for in other texts
_KEY_BYTES: Final = 16
_NAMES: Final = 4_096  # that are remembered
_NO_LETTER: Final = re.compile(r"[\W_]+")

_Paths: TypeAlias = "Mapping[Any, _Paths]"
_END: Final = object()
_NOWHERE: Final[_Paths] = {}
_ATOMS: Final = frozenset((int, bool, float, type(None), Keyword))


def redact(
    *,
    keys: Iterable[str] = SECRET_KEYS,
    patterns: Iterable[str] = (),
    texts: Iterable[str] = (),
    paths: Iterable[str | Sequence[str | int]] = (),
    ops: Iterable[Keyword | str] | Keyword | str = "*",
    secret: bytes | None = None,
    name: str = "redaction",
) -> Around:
    """A guard that puts "[redacted]" in the place of secrets, in all that is recorded of *ops*:
    arguments, results, errors, verdicts, and the result and error of the run.

    A secret is what stands under one of *keys* in a map; what matches one of the regular
    expressions *patterns*, which must not be of those that backtrack without end; the *texts*
    themselves; and what is found at one of *paths* into the arguments or the result, as
    ``("card", "number")``, where "*" is every key or place. What was taken out of the arguments is
    taken out of the result and the error of the same call too, wherever it stands in a text, if it
    has six characters.

    With *secret*, at least 16 bytes, the placeholder holds a keyed digest: equal secrets stay
    equal and can be told from others, and only who has the key can try out which they are.

    The functions at the end get the true arguments. The agent gets the result as it is recorded,
    so that a replay sees the same; let the function that needs a secret fetch it by itself. Facts
    that `run.transact` writes are no record: they are written as they are given. So are names,
    scopes and the meta of a run.

    >>> from persistence.effects import Run, Terminal
    >>> tools = Terminal("tools", {"tool/login": lambda user, password: {"token": "s3cr3t!"}})
    >>> run = Run("in", [redact(), tools])
    >>> run.perform("tool/login", user="ada", password="hunter2"), run.trace[0].args
    (Map({'token': '[redacted]'}),
     Map({Keyword('user'): 'ada', Keyword('password'): '[redacted]'}))

    Raises:
        PolicyError: a pattern or a path cannot be read, or the key is too short.
    """
    redaction = _Redaction(keys, patterns, texts, paths, secret)
    chosen = matching(ops)

    def redacted(op: Keyword, value: Value) -> Value:
        return redaction.walk(value, redaction.paths, None) if chosen(op) else value

    def secrets(op: Keyword, value: Value) -> Mapping[str, str]:
        found: dict[str, str] = {}
        if chosen(op):
            redaction.walk(value, redaction.paths, found)
        return found

    return Around(name, guard=True, redact=redacted, secrets=secrets)


class _Redaction:
    def __init__(
        self,
        keys: Iterable[str],
        patterns: Iterable[str],
        texts: Iterable[str],
        paths: Iterable[str | Sequence[str | int]],
        secret: bytes | None,
    ) -> None:
        if secret is not None and len(secret) < _KEY_BYTES:
            raise PolicyError(
                f"a key of {len(secret)} bytes can be guessed",
                hint=f"give {_KEY_BYTES} random bytes or more, and keep them",
            )
        self._secret = secret
        self._keys = frozenset(_plain(key) for key in keys)
        self._named: dict[Any, bool] = {}
        self._patterns = [_pattern(each) for each in patterns]
        literal = sorted({text for text in texts if text}, key=len, reverse=True)
        if literal:
            self._patterns.insert(0, re.compile("|".join(map(re.escape, literal))))
        self.paths = _tree(paths)

    def walk(self, value: Value, paths: _Paths, found: dict[str, str] | None) -> Value:
        """*value* without secrets; itself, if it has none. Texts that are go into *found*."""
        kind: Any = type(value)
        if kind is str:
            return self._text(value) if self._patterns else value
        if kind is Map:
            return self._map(value, paths, found)
        if kind in _ATOMS:
            return value
        if kind is bytes:
            return self._bytes(value) if self._patterns else value
        if paths and isinstance(value, tuple):
            items = [self._at(item, place, paths, found) for place, item in enumerate(value)]
            same = all(a is b for a, b in zip(items, value, strict=True))
            return value if same else kind(items)
        return rebuilt(value, lambda part: self.walk(part, _NOWHERE, found))

    def _map(self, value: Map, paths: _Paths, found: dict[str, str] | None) -> Value:
        changed: dict[Any, tuple[Value, Value]] = {}
        patterns = self._patterns
        for place, key in enumerate(value):
            item = value[key]
            if item is not None and self._is_secret(key):
                hidden = self._hidden(item, found)
            elif paths:
                hidden = self._at(item, _name(key), paths, found)
            elif type(item) in _ATOMS or (not patterns and type(item) is str):
                hidden = item
            else:
                hidden = self.walk(item, _NOWHERE, found)
            name = self.walk(key, _NOWHERE, found) if patterns else key
            if hidden is not item or name is not key:
                changed[place] = name, hidden
        if not changed:
            return value
        pairs = [changed.get(place, pair) for place, pair in enumerate(value.items())]
        return mapped([*value], pairs)

    def _at(self, item: Value, step: Any, paths: _Paths, found: dict[str, str] | None) -> Value:
        below: dict[Any, Any] = {}
        for known in ("*", step):
            if known in paths:
                below = {**below, **paths[known]}
        if _END in below:
            return item if item is None else self._hidden(item, found)
        return self.walk(item, below, found)

    def _is_secret(self, key: Any) -> bool:
        try:
            return self._named[key]
        except KeyError:
            pass
        if type(key) is not str and type(key) is not Keyword:
            return False
        known = _plain(key.local if type(key) is Keyword else key) in self._keys
        if len(self._named) < _NAMES:
            self._named[key] = known
        return known

    def _hidden(self, item: Value, found: dict[str, str] | None) -> str:
        if found is not None:
            self._collect(item, found)
        return self._placeholder(item)

    def _collect(self, item: Value, found: dict[str, str]) -> None:
        def keep(text: str) -> str:
            if len(text) >= _SHORTEST:
                found[text] = self._placeholder(text)
            return text

        if type(item) is int:
            keep(str(item))
        each_text(item, keep)

    def _placeholder(self, value: Value) -> str:
        if self._secret is None:
            return REDACTED
        return f"[redacted {hmac.digest(self._secret, encode(value), 'sha256').hex()[:16]}]"

    def _text(self, text: str) -> str:
        if len(text) > TEXT_CHARS:  # a pattern may be quadratic in this
            return self._placeholder(text)
        for pattern in self._patterns:
            text = pattern.sub(lambda match: self._match(match), text)
        return text

    def _match(self, match: re.Match[str]) -> str:
        return self._placeholder(match[0]) if match[0] else ""

    def _bytes(self, value: bytes) -> Value:
        text = value.decode("latin-1")
        return value if self._text(text) == text else self._placeholder(value)


def _plain(name: str) -> str:
    return _NO_LETTER.sub("", name).lower()


def _name(key: Any) -> Any:
    return key.name if isinstance(key, Keyword) else key


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return compiled(text)
    except InputError as error:
        raise PolicyError(
            f"the pattern {text!r} cannot be used: {error.message}", hint=error.hint, pattern=text
        ) from error


def _tree(paths: Iterable[str | Sequence[str | int]]) -> _Paths:
    tree: dict[Any, Any] = {}
    for path in paths:
        steps = (path,) if isinstance(path, str) else tuple(path)
        if not steps or not all(isinstance(step, str | int) for step in steps):
            raise PolicyError(
                f"{path!r} is no path", hint='a path is names and places: ("card", "number")'
            )
        at = tree
        for step in steps:
            at = at.setdefault(step.removeprefix(":") if isinstance(step, str) else step, {})
        at[_END] = {}
    return tree
