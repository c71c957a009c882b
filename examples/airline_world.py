"""The τ-bench airline as facts: its schema, its three files, and one late correction.

Users and reservations are plain rows, so the library's own import reads them. A flight is one row
that tells thirty days, and each day is true for that day only; those facts are made here.

The files are a snapshot of 2024-05-15 15:00, "EST" throughout, so every local time is taken as
UTC-05:00. Nobody tells when they were written; the story's clock says that the store learned them
at that instant, and that the correction reached it the next morning.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

import attrs

from persistence import Db, FrozenClock, Keyword, Substrate
from persistence.values import micros

EST = timezone(timedelta(hours=-5), "EST")
ZONE = "Etc/GMT+5"  # the same offset, as the time zone database spells it
DAY = timedelta(days=1)
FIRST_DAY, LAST_DAY = "2024-05-01", "2024-05-30"
SNAPSHOT = datetime(2024, 5, 15, 15, 0, tzinfo=EST)  # "the current time" of policy.md
CORRECTED = datetime(2024, 5, 16, 9, 30, tzinfo=EST)
FLIGHTS_AT_ONCE = 50  # some 10 000 facts in a transaction, as the import does it

FILES = ("users.json", "flights.json", "reservations.json")

SCHEMA = """
[{:db/ident :user/id             :db/valueType :db.type/string :db/unique :db.unique/identity}
 {:db/ident :user/name           :db/valueType :db.type/ref    :db/isComponent true}
 {:db/ident :user/address        :db/valueType :db.type/ref    :db/isComponent true}
 {:db/ident :user/email          :db/valueType :db.type/string :db/unique :db.unique/value}
 {:db/ident :user/dob            :db/valueType :db.type/string}
 {:db/ident :user/membership     :db/valueType :db.type/string :db/index true}
 {:db/ident :user/methods        :db/valueType :db.type/ref :db/cardinality :db.cardinality/many
  :db/isComponent true}
 {:db/ident :user/companions     :db/valueType :db.type/ref :db/cardinality :db.cardinality/many
  :db/isComponent true}
 {:db/ident :user/reservations   :db/valueType :db.type/ref :db/cardinality :db.cardinality/many}
 {:db/ident :person/first-name   :db/valueType :db.type/string}
 {:db/ident :person/last-name    :db/valueType :db.type/string}
 {:db/ident :person/dob          :db/valueType :db.type/string}
 {:db/ident :address/line1       :db/valueType :db.type/string}
 {:db/ident :address/line2       :db/valueType :db.type/string}
 {:db/ident :address/city        :db/valueType :db.type/string}
 {:db/ident :address/state       :db/valueType :db.type/string}
 {:db/ident :address/zip         :db/valueType :db.type/string}
 {:db/ident :address/country     :db/valueType :db.type/string}
 {:db/ident :method/id           :db/valueType :db.type/string :db/unique :db.unique/identity}
 {:db/ident :method/source       :db/valueType :db.type/string :db/index true}
 {:db/ident :method/brand        :db/valueType :db.type/string}
 {:db/ident :method/last-four    :db/valueType :db.type/string}
 {:db/ident :method/amount       :db/valueType :db.type/long}

 {:db/ident :flight/number       :db/valueType :db.type/string :db/unique :db.unique/identity}
 {:db/ident :flight/origin       :db/valueType :db.type/string :db/index true}
 {:db/ident :flight/destination  :db/valueType :db.type/string :db/index true}
 {:db/ident :flight/departure    :db/valueType :db.type/long
  :db/doc "Scheduled, in minutes after midnight."}
 {:db/ident :flight/arrival      :db/valueType :db.type/long
  :db/doc "In minutes after the midnight before its departure; from 1440 on it is the next day."}
 {:db/ident :flight/status       :db/valueType :db.type/string :db/index true
  :db/doc "Holds for one date of departure at a time, like everything below."}
 {:db/ident :flight/departed     :db/valueType :db.type/instant}
 {:db/ident :flight/landed       :db/valueType :db.type/instant}
 {:db/ident :flight/expected     :db/valueType :db.type/instant :db/doc "Estimated departure."}
 {:db/ident :flight/due          :db/valueType :db.type/instant :db/doc "Estimated arrival."}
 {:db/ident :seats/basic_economy :db/valueType :db.type/long}
 {:db/ident :seats/economy       :db/valueType :db.type/long}
 {:db/ident :seats/business      :db/valueType :db.type/long}
 {:db/ident :price/basic_economy :db/valueType :db.type/long}
 {:db/ident :price/economy       :db/valueType :db.type/long}
 {:db/ident :price/business      :db/valueType :db.type/long}

 {:db/ident :reservation/id          :db/valueType :db.type/string :db/unique :db.unique/identity}
 {:db/ident :reservation/user        :db/valueType :db.type/ref}
 {:db/ident :reservation/origin      :db/valueType :db.type/string}
 {:db/ident :reservation/destination :db/valueType :db.type/string}
 {:db/ident :reservation/trip        :db/valueType :db.type/string}
 {:db/ident :reservation/cabin       :db/valueType :db.type/string}
 {:db/ident :reservation/bags        :db/valueType :db.type/long}
 {:db/ident :reservation/paid-bags   :db/valueType :db.type/long}
 {:db/ident :reservation/insurance   :db/valueType :db.type/string}
 {:db/ident :reservation/segments    :db/valueType :db.type/ref
  :db/cardinality :db.cardinality/many :db/isComponent true}
 {:db/ident :reservation/passengers  :db/valueType :db.type/ref
  :db/cardinality :db.cardinality/many :db/isComponent true}
 {:db/ident :reservation/payments    :db/valueType :db.type/ref
  :db/cardinality :db.cardinality/many :db/isComponent true}
 {:db/ident :segment/flight          :db/valueType :db.type/ref}
 {:db/ident :segment/origin          :db/valueType :db.type/string}
 {:db/ident :segment/destination     :db/valueType :db.type/string}
 {:db/ident :segment/date            :db/valueType :db.type/instant :db/doc "Its midnight."}
 {:db/ident :segment/price           :db/valueType :db.type/long}
 {:db/ident :payment/method          :db/valueType :db.type/ref}
 {:db/ident :payment/amount          :db/valueType :db.type/long}

 {:db/ident :airline/step :db/valueType :db.type/keyword :db/index true
  :db/doc "What a transaction was in the story of this example."}]
"""

PERSON = {"first_name": "person/first-name", "last_name": "person/last-name"}

USERS: dict[str, Any] = {
    "id": "user/id",
    "keyed": {"payment_methods": "id"},  # an object of objects, by their id
    "refs": {"user/methods": "method/id", "user/reservations": "reservation/id"},
    "names": {
        **PERSON,
        "user.companions/dob": "person/dob",
        "payment_methods": "methods",
        "saved_passengers": "companions",
        "last_four": "last-four",
        "address1": "address/line1",
        "address2": "address/line2",
        **{name: f"address/{name}" for name in ("city", "state", "zip", "country")},
    },
}

RESERVATIONS: dict[str, Any] = {
    "id": "reservation/id",
    "valid_from": "created_at",  # a reservation holds from the moment it was made
    "timezone": ZONE,
    "refs": {
        "reservation/user": "user/id",
        "segment/flight": "flight/number",
        "payment/method": "method/id",
    },
    "names": {
        **PERSON,
        "reservation.passengers/dob": "person/dob",
        "reservation_id": "id",
        "user_id": "user",
        "flight_type": "trip",
        "total_baggages": "bags",
        "nonfree_baggages": "paid-bags",
        "flights": "segments",
        "flight_number": "segment/flight",
        "date": "segment/date",
        "price": "segment/price",
        "reservation.segments/origin": "segment/origin",
        "reservation.segments/destination": "segment/destination",
        "payment_history": "payments",
        "payment_id": "payment/method",
        "amount": "payment/amount",
    },
}


@attrs.frozen
class Correction:
    """What the airline learned late: on these days the flight had another status."""

    flight: str = "HAT260"
    first: str = "2024-05-13"
    end: str = "2024-05-15"  # half-open: the 13th and the 14th
    status: str = "cancelled"
    reason: str = "Crew report: the landings were those of a relief flight"

    def forms(self) -> list[Any]:
        """The transaction data; what nothing else tells of those two days goes with it."""
        flight = ["flight/number", self.flight]
        span = [midnight(self.first), midnight(self.end)]
        return [
            ["db/add", flight, "flight/status", self.status, *span],
            ["db/retract", flight, "flight/departed", None, *span],
            ["db/retract", flight, "flight/landed", None, *span],
        ]


CORRECTION = Correction()


@attrs.frozen
class Loaded:
    """What an import brought; `seconds` is wall time."""

    what: str
    rows: int
    facts: int
    seconds: float


def midnight(date: str) -> datetime:
    """The instant at which *date* begins."""
    return datetime.fromisoformat(date).replace(tzinfo=EST)


def step(db: Db, name: str) -> int | None:
    """The last transaction that *name* marks, or None: `:snapshot` or `:correction`."""
    found: int | None = db.q(
        "[:find (max ?tx) . :in $ ?step :where [?tx :airline/step ?step]]", Keyword(name)
    )
    return found


def load(s: Substrate, data: Path, clock: FrozenClock) -> Iterator[Loaded]:
    """Imports the three files, then corrects one flight; a store that has them is left alone.

    *clock* is the one that *s* was opened with.
    """
    if step(s.fact.db(), "correction") is not None:
        return
    clock.instant = micros(SNAPSHOT)
    done = s.import_file(data / "users.json", schema=SCHEMA, infer=False, **USERS)
    yield Loaded("users", done.rows, done.facts, done.seconds)
    yield _flights(s, data / "flights.json")
    done = s.import_file(data / "reservations.json", infer=False, **RESERVATIONS)
    yield Loaded("reservations", done.rows, done.facts, done.seconds)
    s.fact.transact([], meta={"airline/step": Keyword("snapshot")})

    clock.instant = micros(CORRECTED)
    started = perf_counter()
    report = s.fact.transact(
        CORRECTION.forms(),
        meta={"airline/step": Keyword("correction"), "airline/reason": CORRECTION.reason},
    )
    yield Loaded("correction", 1, len(report.tx_data), perf_counter() - started)


def _flights(s: Substrate, path: Path) -> Loaded:
    """Some flights at a time, so that memory and write locks stay small."""
    started = perf_counter()
    flights = json.loads(path.read_text())
    rows, facts, waiting = len(flights), 0, iter(flights.values())
    while some := list(islice(waiting, FLIGHTS_AT_ONCE)):
        report = s.fact.transact([form for flight in some for form in _flight(flight)])
        facts += len(report.tx_data)
    return Loaded("flights", rows, facts, perf_counter() - started)


def _flight(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The timetable from the first day on, then each day as facts that hold for that day."""
    number = row["flight_number"]
    yield {
        "db/id": number,
        "db/validFrom": midnight(FIRST_DAY),
        "flight/number": number,
        "flight/origin": row["origin"],
        "flight/destination": row["destination"],
        "flight/departure": minutes(row["scheduled_departure_time_est"]),
        "flight/arrival": minutes(row["scheduled_arrival_time_est"]),
    }
    for date, told in row["dates"].items():
        day = midnight(date)
        yield {"db/id": number, "db/validFrom": day, "db/validTo": day + DAY, **_day(told)}


def _day(told: dict[str, Any]) -> dict[str, Any]:
    facts = {"flight/status": told["status"]}
    for key, attribute in (
        ("actual_departure_time_est", "flight/departed"),
        ("actual_arrival_time_est", "flight/landed"),
        ("estimated_departure_time_est", "flight/expected"),
        ("estimated_arrival_time_est", "flight/due"),
    ):
        if key in told:
            facts[attribute] = midnight(told[key])
    for cabin, seats in told.get("available_seats", {}).items():
        facts[f"seats/{cabin}"] = seats
    for cabin, price in told.get("prices", {}).items():
        facts[f"price/{cabin}"] = price
    return facts


def minutes(text: str) -> int:
    """Minutes after midnight of a scheduled time.

    >>> minutes("06:30:00"), minutes("01:30:00+1")
    (390, 1530)
    """
    time, _, days = text.partition("+")
    hour, minute, _ = (int(part) for part in time.split(":"))
    return int(days or 0) * 1440 + hour * 60 + minute
