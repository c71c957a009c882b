"""What an import is asked to do with the rows, checked before the first one is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import attrs

from persistence.errors import InputError, ValueRefused
from persistence.importing.convert import TYPES
from persistence.values import Keyword, keyword


@attrs.frozen(kw_only=True)
class Plan:
    """The options of an import, in their final form.

    Keys of rows stay text; attributes are keywords.
    """

    id: Keyword | None = None
    namespace: str | None = None
    refs: Mapping[str, Keyword] = attrs.field(factory=dict)
    types: Mapping[str, str] = attrs.field(factory=dict)
    names: Mapping[str, str] = attrs.field(factory=dict)
    keyed: Mapping[str, str] = attrs.field(factory=dict)
    valid_from: str | None = None
    valid_to: str | None = None
    zone: ZoneInfo | None = None
    infer: bool = True

    @classmethod
    def of(
        cls,
        *,
        id: str | Keyword | None = None,
        namespace: str | None = None,
        refs: Mapping[str, str | Keyword] | None = None,
        types: Mapping[str, str] | None = None,
        names: Mapping[str, str] | None = None,
        keyed: Mapping[str, str] | None = None,
        valid_from: str | None = None,
        valid_to: str | None = None,
        timezone: str | None = None,
        infer: bool = True,
    ) -> Self:
        """The plan for these options.

        The namespace of plain keys is that of *id*, unless *namespace* gives another.

        >>> Plan.of(id="user/user_id").namespace
        'user'

        Raises:
            InputError: an option that cannot be honoured; says which and why.
        """
        text = str(id).removeprefix(":") if id is not None else None
        if text is not None and "/" not in text and namespace:
            text = f"{namespace}/{text}"
        ident = None if text is None else _attribute("id", text)
        if namespace is not None:
            _attribute("namespace", f"{namespace}/x")
        if timezone is not None and valid_from is None and valid_to is None and not types:
            raise InputError(
                "a time zone is given, and nothing that it could apply to",
                hint="it is that of stamps in valid_from, valid_to and attributes of type instant",
            )
        for name, kind in (types or {}).items():
            if kind not in TYPES:
                raise InputError(
                    f"{kind!r}, asked for {name}, is no type that an import can make",
                    hint=f"use one of {', '.join(TYPES)}; for references use ref",
                )
        plan = cls(
            id=ident,
            namespace=namespace or (ident.namespace if ident is not None else None),
            refs={_name(key): _attribute("ref", value) for key, value in (refs or {}).items()},
            types={_name(key): kind for key, kind in (types or {}).items()},
            names={_name(key): _name(name) for key, name in (names or {}).items()},
            keyed={_name(key): _name(name) for key, name in (keyed or {}).items()},
            valid_from=None if valid_from is None else _name(valid_from),
            valid_to=None if valid_to is None else _name(valid_to),
            zone=_zone(timezone),
            infer=infer,
        )
        for name in plan.names.values():
            plan.attribute(name, plan.namespace)
        return plan

    def attribute(self, key: str, namespace: str | None) -> Keyword:
        """The attribute that *key* stands for in an object of *namespace*.

        Raises:
            ValueRefused: no attribute can have that name.
        """
        if "/" not in key and namespace:
            key = f"{namespace}/{key}"
        return Keyword(key)

    def text(self) -> str:
        """All of it as one text, so that another plan is another import."""
        parts: dict[str, Any] = attrs.asdict(self, recurse=False)
        return repr([(name, _stable(value)) for name, value in parts.items()])


def _stable(value: Any) -> str:
    if isinstance(value, Mapping):
        return repr(sorted((key, str(item)) for key, item in value.items()))
    return str(value)


def _name(key: str | Keyword) -> str:
    return str(key).removeprefix(":")


def _attribute(option: str, name: str | Keyword) -> Keyword:
    try:
        return keyword(name)
    except ValueRefused as error:
        raise InputError(f"{option}: {error.message}", hint=error.hint) from error


def _zone(name: str | None) -> ZoneInfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InputError(
            f"{name!r} is no time zone that this machine knows",
            hint="use a name such as UTC or Europe/Berlin",
        ) from error
