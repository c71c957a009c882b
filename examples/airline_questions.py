"""Twelve questions that a support desk asks, each a function from a database value to rows.

The title of a question is its docstring. Every answer comes back in a fixed order, so that it can
be compared with another computation of the same, which the tests make in plain Python.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import attrs
from airline_world import CORRECTION, DAY, FIRST_DAY, LAST_DAY, midnight, step

from persistence import Db

Row = tuple[Any, ...]
Ask = Callable[[Db], list[Row]]

NOON = timedelta(hours=12)
TODAY = "2024-05-15"
WEEK = ("2024-05-06", "2024-05-13")
TRIP = ("DEN", "SFO", "2024-05-20")  # no flight of this airline goes there directly
STRANDED = ("EWR", "2024-05-21", 600)  # minutes after midnight
BOARD = "JFK"
RESERVATION = "4WQ150"


@attrs.frozen
class Question:
    """One question: `ask` answers it, `columns` name what the rows hold."""

    ask: Ask
    columns: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.ask.__name__

    @property
    def title(self) -> str:
        return (self.ask.__doc__ or "").partition("\n")[0]


QUESTIONS: list[Question] = []


def question(*columns: str) -> Callable[[Ask], Ask]:
    """Adds a function to the questions."""

    def add(ask: Ask) -> Ask:
        QUESTIONS.append(Question(ask, columns))
        return ask

    return add


def on(db: Db, date: str) -> Db:
    """*db* as it holds on *date*; noon, because any instant of the day will do."""
    return db.valid_at(midnight(date) + NOON)


def through(db: Db, first: str, last: str) -> Db:
    """*db* over the days from *first* to *last*, both inclusive, with intervals to be seen."""
    return db.valid_between(midnight(first), midnight(last) + DAY)


def at(minutes: int) -> str:
    """A time of the timetable as people write it.

    >>> at(390), at(1530)
    ('06:30', '01:30+1')
    """
    days, rest = divmod(minutes, 1440)
    return f"{rest // 60:02}:{rest % 60:02}" + (f"+{days}" if days else "")


# ------------------------------------------------------------------------- itineraries

ROUTES = """
[[(leg ?f ?from ?to ?leaves ?lands)
  [?f :flight/origin ?from]
  [?f :flight/destination ?to]
  [?f :flight/departure ?leaves]
  [?f :flight/arrival ?lands]
  [?f :flight/status "available"]]

 [(connects ?lands ?leaves)
  [(- ?leaves ?lands) ?wait]
  [(<= 45 ?wait 240)]]

 [(arrives ?airport ?start ?to ?lands)
  (leg _ ?airport ?to ?leaves ?lands)
  [(<= ?start ?leaves)]]
 [(arrives ?airport ?start ?to ?lands)
  (arrives ?airport ?start ?via ?landed)
  (leg _ ?via ?to ?leaves ?lands)
  [(+ ?landed 45) ?ready]
  [(<= ?ready ?leaves)]]]
"""


@question("first", "via", "second", "via", "third", "leaves", "lands", "economy fare")
def two_stops(db: Db) -> list[Row]:
    """How does one get from DEN to SFO on May 20 with two stops, also through the night?

    A day is a database value of its own: `$` is May 20 and `$next` the day after it. Minutes of
    the next day count on from 1440, as they do in the timetable.
    """
    origin, destination, date = TRIP
    day, after = on(db, date), db.valid_at(midnight(date) + DAY + NOON)
    found = day.q(
        """
        [:find ?n1 ?a ?n2 ?b ?n3 ?leaves ?lands ?fare
         :in $ $next % ?origin ?destination
         :where
         (leg ?f1 ?origin ?a ?leaves ?lands1)
         (or-join [?f2 ?a ?b ?leaves2 ?lands2 ?p2]
           (and (leg ?f2 ?a ?b ?leaves2 ?lands2) [?f2 :price/economy ?p2])
           (and ($next leg ?f2 ?a ?b ?l2 ?a2) [$next ?f2 :price/economy ?p2]
                [(+ ?l2 1440) ?leaves2] [(+ ?a2 1440) ?lands2]))
         (connects ?lands1 ?leaves2)
         (or-join [?f3 ?b ?destination ?leaves3 ?lands ?p3]
           (and (leg ?f3 ?b ?destination ?leaves3 ?lands) [?f3 :price/economy ?p3])
           (and ($next leg ?f3 ?b ?destination ?l3 ?a3) [$next ?f3 :price/economy ?p3]
                [(+ ?l3 1440) ?leaves3] [(+ ?a3 1440) ?lands]))
         (connects ?lands2 ?leaves3)
         [?f1 :price/economy ?p1]
         [(+ ?p1 ?p2 ?p3) ?fare]
         [?f1 :flight/number ?n1] [?f2 :flight/number ?n2] [?f3 :flight/number ?n3]]
        """,
        after,
        ROUTES,
        origin,
        destination,
    )
    return [(*r[:5], at(r[5]), at(r[6]), r[7]) for r in sorted(found, key=lambda r: (r[6], r))]


@question("airport", "earliest arrival")
def reachable(db: Db) -> list[Row]:
    """Stranded at EWR at 10:00 on May 21: where can one still get to that day, and by when?

    The rule calls itself, and ends because a later flight never leaves earlier.
    """
    airport, date, start = STRANDED
    found = on(db, date).q(
        """
        [:find ?to (min ?lands)
         :in $ % ?airport ?start
         :where (arrives ?airport ?start ?to ?lands) [(not= ?to ?airport)]
         :order-by (min ?lands) ?to]
        """,
        ROUTES,
        airport,
        start,
    )
    return [(to, at(lands)) for to, lands in found]


# ------------------------------------------------------------------------- corrections

IN_TWO_WORLDS = """
[:find ?id ?number ?day ?was ?is
 :in $ $then $now
 :where
 [$then ?f :flight/status ?was _ _ ?from ?to]
 [$now ?f :flight/status ?is _ _ ?since ?until]
 [(not= ?was ?is)]
 [?s :segment/flight ?f]
 [?s :segment/date ?day]
 [(<= ?from ?day)] [(< ?day ?to)]
 [(<= ?since ?day)] [(< ?day ?until)]
 [?r :reservation/segments ?s]
 [?r :reservation/id ?id]
 [?f :flight/number ?number]
 :order-by ?day ?id]
"""


def compare(then: Db, now: Db) -> list[Row]:
    """The booked segments whose flight has one status in *then* and another in *now*."""
    return now.q(
        IN_TWO_WORLDS, through(then, FIRST_DAY, LAST_DAY), through(now, FIRST_DAY, LAST_DAY)
    )


@question("reservation", "flight", "day", "status then", "status now", "foreseen")
def touched_by_correction(db: Db) -> list[Row]:
    """Which reservations did the correction touch, and which would a trial run have named?

    The trial is a speculation on the database before the correction, and is never written. Both
    questions are one query over two databases: what was known then, beside what is known now.
    """
    before = db.as_of(step(db, "snapshot"))
    trial = set(compare(before, before.with_(CORRECTION.forms()).db_after))
    return [(*row, row in trial) for row in compare(before, db)]


@question("known at", "about", "status")
def believed(db: Db) -> list[Row]:
    """What did we believe about HAT260, at which instant, about which day?

    Each row is one point in two times: `as_of` is what the store had heard, `valid_at` the day.
    """
    rows: list[Row] = []
    for known in ("2024-05-15T12:00-05:00", "2024-05-15T18:00-05:00", "2024-05-16T12:00-05:00"):
        for date in ("2024-05-12", "2024-05-13", "2024-05-14", TODAY):
            then = on(db.as_of(known), date)
            status = then.q(
                "[:find ?s . :in $ ?n :where [?f :flight/number ?n] [?f :flight/status ?s]]",
                CORRECTION.flight,
            )
            rows.append((known, date, status))
    return rows


# ------------------------------------------------------------------------- disruptions


@question("member", "reservation", "flight", "day")
def cancelled_on_gold(db: Db) -> list[Row]:
    """Which gold members were hit by flights cancelled in the week of May 6?"""
    first, end = WEEK
    return db.q(
        """
        [:find ?user ?id ?number ?day
         :in $ $week ?first ?end
         :where
         [?u :user/membership "gold"] [?u :user/id ?user]
         [?r :reservation/user ?u] [?r :reservation/id ?id]
         [?r :reservation/segments ?s] [?s :segment/flight ?f] [?s :segment/date ?day]
         [(<= ?first ?day)] [(< ?day ?end)]
         [$week ?f :flight/status "cancelled" _ _ ?from ?to]
         [(<= ?from ?day)] [(< ?day ?to)]
         [?f :flight/number ?number]
         :order-by ?day ?id]
        """,
        db.valid_between(midnight(first), midnight(end)),
        midnight(first),
        midnight(end),
    )


@question("flight", "from", "until", "days", "next status")
def cancelled_in_a_row(db: Db) -> list[Row]:
    """Which flights were cancelled on three days in a row or more, and what came next?

    Nobody wrote those stretches: each day came as a fact of its own, and days that meet read as
    one interval. `meets?` is one of Allen's thirteen relations.
    """
    return through(db, FIRST_DAY, LAST_DAY).q(
        """
        [:find ?number ?from ?to ?days ?next
         :where
         [?f :flight/status "cancelled" _ _ ?from ?to]
         [(inst-us ?from) ?us1] [(inst-us ?to) ?us2] [(- ?us2 ?us1) ?us]
         [(quot ?us 86400000000) ?days]
         [(>= ?days 3)]
         [?f :flight/status ?next _ _ ?since ?until]
         [(meets? ?from ?to ?since ?until)]
         [?f :flight/number ?number]
         :order-by ?days :desc ?number ?from]
        """
    )


@question("flight", "to", "scheduled", "status", "expected")
def departures(db: Db) -> list[Row]:
    """What stands on the departure board of JFK on May 15, for flights still on the ground?

    `missing?` keeps those that have not taken off; `get-else` fills in where nothing is estimated.
    """
    found = on(db, TODAY).q(
        """
        [:find ?number ?to ?leaves ?status ?expected
         :in $ ?airport
         :where
         [?f :flight/origin ?airport]
         [(missing? $ ?f :flight/departed)]
         [?f :flight/status ?status]
         [(get-else $ ?f :flight/expected "none") ?expected]
         [?f :flight/number ?number] [?f :flight/destination ?to] [?f :flight/departure ?leaves]
         :order-by ?leaves ?number]
        """,
        BOARD,
    )
    return [(number, to, at(leaves), *rest) for number, to, leaves, *rest in found]


# ------------------------------------------------------------------- rules and accounts

POLICY = """
[[(free-bags ?r ?allowed)
  [?r :reservation/user ?u] [?u :user/membership ?tier] [?r :reservation/cabin ?cabin]
  (allowance ?tier ?cabin ?allowed)]

 [(allowance ?tier ?cabin ?bags)
  [(ground [["regular" "basic_economy" 0] ["regular" "economy" 1] ["regular" "business" 2]
            ["silver"  "basic_economy" 1] ["silver"  "economy" 2] ["silver"  "business" 3]
            ["gold"    "basic_economy" 2] ["gold"    "economy" 3] ["gold"    "business" 3]])
   [[?tier ?cabin ?bags]]]]]
"""


@question("reservation", "bags", "free", "bags charged")
def bags_at_the_limit(db: Db) -> list[Row]:
    """Who has checked in every free bag, so that one more costs 50 dollars?

    Each passenger has a number of free bags by tier and cabin. The answer of the first query, how
    many travel together, goes into the second as a relation.
    """
    party = db.q("[:find ?r (count ?p) :where [?r :reservation/passengers ?p]]")
    return db.q(
        """
        [:find ?id ?bags ?free ?charged
         :in $ % [[?r ?passengers]]
         :where
         (free-bags ?r ?allowed)
         [(* ?allowed ?passengers) ?free]
         [?r :reservation/bags ?bags]
         [(pos? ?bags)] [(>= ?bags ?free)]
         [?r :reservation/paid-bags ?charged]
         [?r :reservation/id ?id]
         :order-by ?bags :desc ?id]
        """,
        POLICY,
        party,
    )


@question("membership", "paid", "payments", "average")
def paid_by_tier(db: Db) -> list[Row]:
    """What have the members of each tier paid?"""
    return db.q(
        """
        [:find ?tier (sum ?amount) (count ?p) (avg ?amount)
         :with ?p
         :where
         [?u :user/membership ?tier]
         [?r :reservation/user ?u]
         [?r :reservation/payments ?p]
         [?p :payment/amount ?amount]
         :order-by (sum ?amount) :desc]
        """
    )


@question("member", "certificates worth")
def idle_certificates(db: Db) -> list[Row]:
    """Who holds certificates and has no reservation to spend them on?"""
    return db.q(
        """
        [:find ?user (sum ?amount)
         :with ?m
         :where
         [?m :method/source "certificate"]
         [?m :method/amount ?amount]
         [?u :user/methods ?m]
         (not [_ :reservation/user ?u])
         [?u :user/id ?user]
         :order-by (sum ?amount) :desc ?user]
        """
    )


@question("reservation")
def everything_about(db: Db) -> list[Row]:
    """What is in reservation 4WQ150? The whole of it, as one tree."""
    pattern = """
    [:reservation/id :reservation/cabin :reservation/trip
     {:reservation/user [:user/id :user/membership]}
     {:reservation/segments [:segment/date :segment/price {:segment/flight [:flight/number]}]}
     {:reservation/passengers [:person/first-name :person/last-name :person/dob]}
     {:reservation/payments [:payment/amount {:payment/method [:method/id :method/source]}]}]
    """
    return [(db.pull(pattern, ["reservation/id", RESERVATION]),)]


@question("from", "to", "segments", "revenue")
def busiest_routes(db: Db) -> list[Row]:
    """Which ten routes are booked most?"""
    return db.q(
        """
        [:find ?from ?to (count ?s) (sum ?price)
         :with ?s
         :where
         [?s :segment/origin ?from]
         [?s :segment/destination ?to]
         [?s :segment/price ?price]
         :order-by (count ?s) :desc ?from ?to
         :limit 10]
        """
    )
