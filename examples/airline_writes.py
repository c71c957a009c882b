"""What the tools of the airline's agent did to the world, as transaction data.

A tool that changes a reservation gives all of it as it is now. What differs from the facts is
asserted or retracted; what was there stays the same fact.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from airline_world import midnight

from persistence import Db, Keyword
from persistence.effects import Step
from persistence.formats.calls import tool_name

WRITES = (
    "book_reservation",
    "cancel_reservation",
    "send_certificate",
    "update_reservation_baggages",
    "update_reservation_flights",
    "update_reservation_passengers",
)
PLAIN = {
    "origin": "reservation/origin",
    "destination": "reservation/destination",
    "flight_type": "reservation/trip",
    "cabin": "reservation/cabin",
    "total_baggages": "reservation/bags",
    "nonfree_baggages": "reservation/paid-bags",
    "insurance": "reservation/insurance",
    "status": "reservation/status",
}
PARTS = "[{:reservation/segments [* {:segment/flight [:flight/number]}]}" + (
    " {:reservation/passengers [*]} {:reservation/payments [* {:payment/method [:method/id]}]}]"
)
METHOD = """
    [:find ?m ?source ?amount
     :in $ ?id
     :where
     [?m :method/id ?id]
     [?m :method/source ?source]
     [(get-else $ ?m :method/amount 0) ?amount]]
"""
Form = dict[str, Any] | list[Any]


def forms(db: Db, write: Step) -> Iterator[Form]:
    """What the step *write* did to the world *db*, as transaction data."""
    name = tool_name(write.op)
    args = {key.name: value for key, value in write.args.items()}
    if name == "send_certificate":
        yield from _certificate(args, write.result)
        return
    told = json.loads(write.result)
    there = _parts(db, told["reservation_id"])
    yield from _reservation(told, there)
    if name == "book_reservation":
        e = ["user/id", told["user_id"]]
        yield ["db/add", e, "user/reservations", told["reservation_id"]]
    if name != "cancel_reservation":  # a refund takes days
        paid = _left(_payments(told), there["reservation/payments"])
        yield from _spent(db, told["user_id"], paid)


def _certificate(args: Mapping[str, Any], said: str) -> Iterator[Form]:
    """`Certificate ID added to user …`: a new method of payment."""
    yield {
        "user/id": args["user_id"],
        "user/methods": [
            {
                "method/id": said.split()[1],
                "method/source": "certificate",
                "method/amount": args["amount"],
            }
        ],
    }


def _reservation(told: dict[str, Any], there: dict[str, list[Any]]) -> Iterator[Form]:
    """The reservation as the tool gave it, *told*; parts that were there are left alone."""
    id = told["reservation_id"]
    wanted = {
        "reservation/segments": _segments(told),
        "reservation/passengers": [_passenger(one) for one in told["passengers"]],
        "reservation/payments": _payments(told),
    }
    made: dict[str, Any] = {"db/id": id, "reservation/id": id}
    made["reservation/user"] = ["user/id", told["user_id"]]
    made |= {attribute: told[key] for key, attribute in PLAIN.items() if key in told}
    for attribute, parts in wanted.items():
        new = _left(parts, there[attribute])
        if new:
            made[attribute] = new
        for old in _left(there[attribute], parts):
            yield ["db/retractEntity", old["db/id"]]
    yield made


def _segments(told: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "segment/flight": ["flight/number", one["flight_number"]],
            "segment/origin": one["origin"],
            "segment/destination": one["destination"],
            "segment/date": midnight(one["date"]),
            "segment/price": one["price"],
        }
        for one in told["flights"]
    ]


def _passenger(one: dict[str, Any]) -> dict[str, Any]:
    names = {"first_name": "person/first-name", "last_name": "person/last-name"}
    return {names.get(key, f"person/{key}"): value for key, value in one.items()}


def _payments(told: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"payment/method": ["method/id", one["payment_id"]], "payment/amount": one["amount"]}
        for one in told["payment_history"]
    ]


def _parts(db: Db, id: str) -> dict[str, list[Any]]:
    """The components of a reservation as they are, in the form in which they are asserted."""
    found = db.pull(PARTS, ["reservation/id", id]) if db.entid(["reservation/id", id]) else {}
    names = ("reservation/segments", "reservation/passengers", "reservation/payments")
    return {name: [_part(one) for one in found.get(Keyword(name), ())] for name in names}


def _part(pulled: Mapping[Keyword, Any]) -> dict[str, Any]:
    return {
        key.name: [next(iter(value)).name, next(iter(value.values()))]
        if isinstance(value, Mapping)
        else value
        for key, value in pulled.items()
    }


def _left(some: list[Any], others: list[Any]) -> list[Any]:
    """*some* without *others*, of equal ones as many as there are."""
    rest = [_said(one) for one in others]
    left = []
    for one in some:
        if _said(one) in rest:
            rest.remove(_said(one))
        else:
            left.append(one)
    return left


def _said(part: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in part.items() if key != "db/id"}


def _spent(db: Db, user: str, payments: list[dict[str, Any]]) -> Iterator[Form]:
    """A gift card has less on it, and a certificate is used up."""
    for payment in payments:
        ((method, source, amount),) = db.q(METHOD, payment["payment/method"][1])
        if source == "gift_card":
            yield ["db/add", method, "method/amount", amount - payment["payment/amount"]]
        elif source == "certificate":
            yield ["db/retract", ["user/id", user], "user/methods", method]
