"""The questions of examples/airline_questions.py once more, in plain Python over the JSON.

An oracle: it shares no code with the example but the constants that say what is asked.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta, timezone
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import airline_questions as asked
import attrs

EST = timezone(timedelta(hours=-5))
FREE_BAGS = {  # for each passenger, by tier and cabin: policy.md
    "regular": {"basic_economy": 0, "economy": 1, "business": 2},
    "silver": {"basic_economy": 1, "economy": 2, "business": 3},
    "gold": {"basic_economy": 2, "economy": 3, "business": 3},
}
CORRECTED = {("HAT260", "2024-05-13"): "cancelled", ("HAT260", "2024-05-14"): "cancelled"}

Json = dict[str, Any]
Row = tuple[Any, ...]


@attrs.frozen
class World:
    """The three files."""

    users: Json
    flights: Json
    reservations: Json

    @classmethod
    def read(cls, data: Path) -> World:
        names = ("users", "flights", "reservations")
        return cls(*(json.loads((data / f"{name}.json").read_text()) for name in names))

    def status(self, flight: str, day: str) -> str:
        """As it is known after the correction."""
        return CORRECTED.get((flight, day)) or self.flights[flight]["dates"][day]["status"]

    def segments(self) -> Iterator[tuple[Json, Json]]:
        for reservation in self.reservations.values():
            for segment in reservation["flights"]:
                yield reservation, segment


def midnight(day: str) -> datetime:
    return datetime.fromisoformat(day).replace(tzinfo=EST)


def next_day(day: str) -> str:
    return (date.fromisoformat(day) + timedelta(days=1)).isoformat()


def minutes(text: str) -> int:
    hours, mins = int(text[:2]), int(text[3:5])
    return hours * 60 + mins + (1440 if text.endswith("+1") else 0)


def clock(total: int) -> str:
    days, rest = divmod(total, 1440)
    return f"{rest // 60:02}:{rest % 60:02}{f'+{days}' if days else ''}"


@attrs.frozen
class Leg:
    number: str
    origin: str
    destination: str
    leaves: int
    lands: int
    fare: int


def legs(world: World, day: str, later: int = 0) -> list[Leg]:
    """The flights that can be booked on *day*, with times counted from *later* minutes on."""
    return [
        Leg(
            number,
            flight["origin"],
            flight["destination"],
            minutes(flight["scheduled_departure_time_est"]) + later,
            minutes(flight["scheduled_arrival_time_est"]) + later,
            flight["dates"][day]["prices"]["economy"],
        )
        for number, flight in world.flights.items()
        if world.status(number, day) == "available"
    ]


def two_stops(world: World) -> list[Row]:
    origin, destination, day = asked.TRIP
    today = legs(world, day)
    leaving = defaultdict(list)
    for leg in today + legs(world, next_day(day), 1440):
        leaving[leg.origin].append(leg)

    def onward(leg: Leg) -> list[Leg]:
        return [b for b in leaving[leg.destination] if 45 <= b.leaves - leg.lands <= 240]

    found = [
        (a, b, c)
        for a in today
        if a.origin == origin
        for b in onward(a)
        for c in onward(b)
        if c.destination == destination
    ]
    rows = sorted(
        ((a, b, c) for a, b, c in found),
        key=lambda abc: (
            abc[2].lands,
            *(abc[0].number, abc[0].destination, abc[1].number, abc[1].destination, abc[2].number),
        ),
    )
    return [
        (
            *(a.number, a.destination, b.number, b.destination, c.number),
            *(clock(a.leaves), clock(c.lands), a.fare + b.fare + c.fare),
        )
        for a, b, c in rows
    ]


def reachable(world: World) -> list[Row]:
    airport, day, start = asked.STRANDED
    today = legs(world, day)
    earliest: dict[str, int] = {}
    ready = {(airport, start)}
    seen: set[tuple[str, int]] = set()
    while ready:
        place, at = ready.pop()
        seen.add((place, at))
        for leg in today:
            if leg.origin == place and leg.leaves >= at:
                earliest[leg.destination] = min(leg.lands, earliest.get(leg.destination, leg.lands))
                ready |= {(leg.destination, leg.lands + 45)} - seen
    earliest.pop(airport, None)
    return [(to, clock(at)) for to, at in sorted(earliest.items(), key=lambda x: (x[1], x[0]))]


def touched_by_correction(world: World) -> list[Row]:
    rows = []
    for reservation, segment in world.segments():
        flight, day = segment["flight_number"], segment["date"]
        was, now = world.flights[flight]["dates"][day]["status"], world.status(flight, day)
        if was != now:
            rows.append((day, reservation["reservation_id"], flight, was, now))
    return [
        (name, flight, midnight(day), was, now, True)
        for day, name, flight, was, now in sorted(rows)
    ]


def believed(world: World) -> list[Row]:
    dates = world.flights["HAT260"]["dates"]
    days = ("2024-05-12", "2024-05-13", "2024-05-14", "2024-05-15")
    return [
        *(("2024-05-15T12:00-05:00", day, None) for day in days),
        *(("2024-05-15T18:00-05:00", day, dates[day]["status"]) for day in days),
        *(("2024-05-16T12:00-05:00", day, world.status("HAT260", day)) for day in days),
    ]


def cancelled_on_gold(world: World) -> list[Row]:
    first, end = asked.WEEK
    rows = [
        (day, reservation["reservation_id"], reservation["user_id"], segment["flight_number"])
        for reservation, segment in world.segments()
        if first <= (day := segment["date"]) < end
        if world.users[reservation["user_id"]]["membership"] == "gold"
        if world.status(segment["flight_number"], day) == "cancelled"
    ]
    return [(user, name, flight, midnight(day)) for day, name, user, flight in sorted(rows)]


def cancelled_in_a_row(world: World) -> list[Row]:
    rows: list[Row] = []
    for number, flight in world.flights.items():
        days = sorted(flight["dates"])
        runs = [
            (status, list(run))
            for status, run in groupby(days, key=lambda day: world.status(number, day))
        ]
        for (status, run), (follows, _) in pairwise(runs):
            if status == "cancelled" and len(run) >= 3:
                until = midnight(next_day(run[-1]))
                rows.append((number, midnight(run[0]), until, len(run), follows))
    return sorted(rows, key=lambda row: (-row[3], row[0], row[1]))


def departures(world: World) -> list[Row]:
    rows = []
    for number, flight in world.flights.items():
        told = flight["dates"][asked.TODAY]
        if flight["origin"] != asked.BOARD or "actual_departure_time_est" in told:
            continue
        guess = told.get("estimated_departure_time_est")
        leaves = minutes(flight["scheduled_departure_time_est"])
        expected = midnight(guess) if guess else "none"
        rows.append((leaves, number, flight["destination"], told["status"], expected))
    return [(number, to, clock(leaves), *rest) for leaves, number, to, *rest in sorted(rows)]


def bags_at_the_limit(world: World) -> list[Row]:
    rows = []
    for name, reservation in world.reservations.items():
        tier = world.users[reservation["user_id"]]["membership"]
        free = FREE_BAGS[tier][reservation["cabin"]] * len(reservation["passengers"])
        bags = reservation["total_baggages"]
        if bags > 0 and bags >= free:
            rows.append((name, bags, free, reservation["nonfree_baggages"]))
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def paid_by_tier(world: World) -> list[Row]:
    paid = defaultdict(list)
    for reservation in world.reservations.values():
        tier = world.users[reservation["user_id"]]["membership"]
        paid[tier] += [payment["amount"] for payment in reservation["payment_history"]]
    rows = [(tier, sum(some), len(some), sum(some) / len(some)) for tier, some in paid.items()]
    return sorted(rows, key=lambda row: -row[1])


def idle_certificates(world: World) -> list[Row]:
    busy = {reservation["user_id"] for reservation in world.reservations.values()}
    rows = []
    for name, user in world.users.items():
        methods = user["payment_methods"].values()
        worth = [m["amount"] for m in methods if m["source"] == "certificate"]
        if worth and name not in busy:
            rows.append((name, sum(worth)))
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def everything_about(world: World) -> list[Row]:
    told = world.reservations[asked.RESERVATION]
    user = world.users[told["user_id"]]
    tree = {
        "reservation/id": told["reservation_id"],
        "reservation/cabin": told["cabin"],
        "reservation/trip": told["flight_type"],
        "reservation/user": {"user/id": told["user_id"], "user/membership": user["membership"]},
        "reservation/segments": [
            {
                "segment/date": midnight(each["date"]),
                "segment/price": each["price"],
                "segment/flight": {"flight/number": each["flight_number"]},
            }
            for each in told["flights"]
        ],
        "reservation/passengers": [
            {
                "person/first-name": each["first_name"],
                "person/last-name": each["last_name"],
                "person/dob": each["dob"],
            }
            for each in told["passengers"]
        ],
        "reservation/payments": [
            {
                "payment/amount": each["amount"],
                "payment/method": {
                    "method/id": each["payment_id"],
                    "method/source": user["payment_methods"][each["payment_id"]]["source"],
                },
            }
            for each in told["payment_history"]
        ],
    }
    return [(tree,)]


def busiest_routes(world: World) -> list[Row]:
    prices = defaultdict(list)
    for _, segment in world.segments():
        prices[segment["origin"], segment["destination"]].append(segment["price"])
    rows = [(*route, len(some), sum(some)) for route, some in prices.items()]
    return sorted(rows, key=lambda row: (-row[2], row[0], row[1]))[:10]


ANSWERS: dict[str, Callable[[World], list[Row]]] = {
    function.__name__: function
    for function in (
        *(two_stops, reachable, touched_by_correction, believed, cancelled_on_gold),
        *(cancelled_in_a_row, departures, bags_at_the_limit, paid_by_tier),
        *(idle_certificates, everything_about, busiest_routes),
    )
}
