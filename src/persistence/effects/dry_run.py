"""What would be done, without doing it: stand-ins for results, on record as such."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from functools import partial
from typing import Any

from persistence.effects.call import Call
from persistence.effects.handler import Around, Asked, Invoke, matching
from persistence.effects.verdict import DRY_RUN, note
from persistence.values import Keyword, Map

_SAID = Map({DRY_RUN: True})


def dry_run(answers: Mapping[str | Keyword, Any], *, name: str = "dry-run") -> Around:
    """Answers operations with stand-ins, and performs nothing of them.

    *answers* gives for an operation, "tool/*" or "*" the result, or a function that makes it of
    the arguments; the first that matches answers. The recorded verdict says ``:dry-run true``.
    Handlers further out are passed as ever, so a policy denies what it would deny.

    It is no terminal handler: an operation that nobody performs is a hole with it and without it,
    because a dry run that hid holes would not tell what the real run will do.

    >>> from persistence.effects import Run, Terminal
    >>> bank = Terminal("bank", {"bank/pay": lambda amount: 1 / 0})
    >>> trial = dry_run({"bank/pay": lambda amount: {"paid": amount}})
    >>> Run("pay", [trial, bank]).perform("bank/pay", amount=3)
    Map({'paid': 3})
    """
    known = [(matching(pattern), answer) for pattern, answer in answers.items()]

    def handle(call: Call) -> Generator[Asked, Any, Any]:
        note(call, _SAID)
        answer = next(answer for matches, answer in known if matches(call.op))
        if callable(answer):
            answer = yield Invoke(partial(answer, **call.args))
        return answer

    return Around(name, handle, ops=lambda op: any(matches(op) for matches, _ in known))
