"""`:db/ensure`: predicates of an entity spec, asked of the database after the transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from persistence.errors import TransactionError
from persistence.transact.prepare import Prepared
from persistence.values import Keyword, keyword


def ensure_entities(
    after: Any, prepared: Prepared, functions: Mapping[Keyword, Callable[..., Any]]
) -> None:
    """Calls every predicate of every ensured entity as ``predicate(db_after, entity)``.

    Raises:
        TransactionError: a predicate did not return True, or is not registered.
    """
    for e, spec in prepared.ensured:
        for name in spec.preds:
            predicate = functions.get(keyword(str(name)))
            if predicate is None:
                raise TransactionError(
                    f"{spec.ident} demands the predicate {name}, which is not registered",
                    hint="pass it when opening: Substrate.open(…, functions={name: callable})",
                    spec=spec.ident,
                    predicate=name,
                )
            if predicate(after, e) is not True:
                raise TransactionError(
                    f"entity {e} does not satisfy {name}, which {spec.ident} demands",
                    entity=e,
                    spec=spec.ident,
                    predicate=name,
                )
