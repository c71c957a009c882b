"""The story of the demo: an agent that buys parts, learns better, and is asked why.

The model is a script, so the story needs no network and is the same each time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from persistence.cli.story import Scene
from persistence.db import Db
from persistence.effects import Handler, Run, Terminal, Trace, dry_run, policy
from persistence.replay import Replayed, do
from persistence.substrate import Substrate

BOUGHT: Final = UUID(int=2026)  # the run that the story is about
PLANNED: Final = UUID(int=2025)  # the dry one before it

OFFERS: Final = """
    [:find ?firm ?price
     :where [?m :part/sku "M8"] [?o :offer/part ?m] [?o :offer/price ?price]
            [?o :offer/firm ?f] [?f :firm/name ?firm]
     :order-by [?price]]
"""

PLAN: Final = """
[:seq {}
 [:let {:name offers} [:tool-call {:tool :shop/offers}]
  [:let {:name pick} [:llm-call {:model "script" :prompt "Which offer?"}]
   [:tool-call {:tool :shop/order :args {:firm pick :pieces 500}}]]]]
"""


def offers(db: Db) -> list[list[Any]]:
    """The offers that a database value knows of."""
    return [list(row) for row in db.q(OFFERS)]


def buyer(run: Run) -> Any:
    """The agent: it looks, asks its model, orders, and writes down what it did."""
    day = run.now()
    firm = run.perform("model/choose", offers=offers(run.db()))
    run.perform("shop/order", firm=firm, pieces=500)
    run.transact([{"order/id": "o-1", "order/firm": ["firm/name", firm], "order/day": day}])
    return firm


def cheapest(offers: Sequence[Sequence[Any]]) -> str:
    """The scripted model: it takes the first offer, and the cheapest is the first."""
    return str(offers[0][0])


def accepted(firm: str, pieces: int) -> Mapping[str, Any]:
    """The outside world: a shop that takes every order."""
    return {"accepted": True, "firm": firm, "pieces": pieces}


HANDLERS: Final[list[Handler]] = [
    policy('[{:effect :deny :op "bank/*" :id "no-payments"} {:effect :allow :op "*"}]'),
    Terminal("world", {"model/choose": cheapest, "shop/order": accepted}),
]


# ------------------------------------------------------------------------- scenes


def declare(s: Substrate) -> Any:
    """March 1. What names things is declared, and what refers; other attributes need nothing."""
    return s.fact.transact("""
        [{:db/ident :part/sku    :db/unique :db.unique/identity}
         {:db/ident :firm/name   :db/unique :db.unique/identity}
         {:db/ident :offer/id    :db/unique :db.unique/identity}
         {:db/ident :order/id    :db/unique :db.unique/identity}
         {:db/ident :offer/part  :db/valueType :db.type/ref}
         {:db/ident :offer/firm  :db/valueType :db.type/ref}
         {:db/ident :order/firm  :db/valueType :db.type/ref}]""")


def remember(s: Substrate) -> Any:
    """The agent reads catalogues: facts, with where they come from and since when they hold.
    What it was told in words goes to its memory, and is found again by its words."""
    s.fact.transact(
        [
            {"db/id": "M8", "part/sku": "M8"},
            *(
                {"offer/id": firm, "offer/part": "M8", "offer/price": price,
                 "offer/firm": {"firm/name": firm}}
                for firm, price in {"Bolts & Co": 10, "Ferro": 11, "Atlas": 14}.items()
            ),
        ],
        valid_from="2026-03-01",
        meta={"source": "catalogues"},
    )  # fmt: skip
    s.memory.remember("Atlas delivers within a day", about=["firm/name", "Atlas"], source="Ada")
    s.memory.remember("Ferro was late twice", about=["firm/name", "Ferro"], source="Ada")
    return [str(memory) for memory in s.memory.recall("who was late?")]


def plan(s: Substrate) -> Any:
    """A plan is data: checked when it is read, stored, edited at a path. A misspelled attribute or
    a name that nothing binds is refused, with its place and a remedy. First it is run dry: the
    shop is not told, and the record says so."""
    s.plan.save("buy-bolts", PLAN)
    s.plan.insert_before("buy-bolts", (0,), '[:checkpoint {:name "before the order"}]')
    tools = Terminal("tools", {
        "shop/offers": lambda: offers(s.fact.db()),
        "shop/order": accepted,
        "model/chat": lambda **asked: "Bolts & Co",
    })  # fmt: skip
    dry = dry_run({"shop/order": {"accepted": True}})
    return s.plan.run("buy-bolts", tools, handlers=[dry], id=PLANNED).trace


def act(s: Substrate) -> Any:
    """The agent runs. Whatever it asks of the outside passes its handlers, here a policy, and each
    step is durable before the agent gets its result. A crash would lose nothing: the run is taken
    up again, and what was done is not done twice."""
    with s.effect.run("buy bolts", HANDLERS, id=BOUGHT) as run:
        run.result = buyer(run)
    return s.effect.trace(BOUGHT)


def fork(s: Substrate) -> Any:
    """Three ways to restock, each tried in a transaction of its own on one snapshot. The best is
    committed; of the others only what they scored is left."""

    def restock(firm: str, pieces: int) -> Any:
        def body(tx: Any) -> int:
            price = dict(offers(tx.db))[firm]
            tx.transact([{"db/id": ["part/sku", "M8"], "part/planned": f"{pieces} from {firm}"}])
            return int(price) * pieces

        return body

    ways = {"500 from Atlas": restock("Atlas", 500), "400 from Ferro": restock("Ferro", 400),
            "500 from Bolts & Co": restock("Bolts & Co", 500)}  # fmt: skip
    forked = s.txn.fork(ways, score=lambda outcome: -outcome.value)
    return [[o.label, o.value, "committed" if o is forked.winner else ""] for o in forked.outcomes]


def correct(s: Substrate) -> Any:
    """April 1. A letter: since March 15, the price of Bolts & Co has been 12. The agent had it
    wrong when it bought. That is written down too, and nothing is overwritten."""
    return s.fact.transact(
        [{"offer/id": "Bolts & Co", "offer/price": 12}],
        valid_from="2026-03-15",
        meta={"source": "letter"},
    )


def quadrants(s: Substrate) -> Any:
    """What was known, and what holds in the world, are two questions. One cell has changed."""
    db, price = s.fact.db(), '[:find ?p . :where [?o :offer/id "Bolts & Co"] [?o :offer/price ?p]]'
    return [
        [f"known on {known}", *(db.as_of(known).valid_at(day).q(price) for day in DAYS)]
        for known in ("2026-03-31", "2026-04-02")
    ]


def account(s: Substrate) -> Any:
    """Why did it buy from Bolts & Co on March 20? The record says at which state of the database
    it looked; that state answers today as it did then, and names its source."""
    looked = s.effect.trace(BOUGHT)[1]
    then = s.effect.database(looked)
    return then.q("""
        [:find ?firm ?price ?source
         :where [?o :offer/price ?price ?tx] [?tx :source ?source]
                [?o :offer/firm ?f] [?f :firm/name ?firm]
         :order-by [?price]]""")


def rewind(s: Substrate) -> Any:
    """The run is rewound to its beginning and goes on with what is known by now. The first run
    stays what it was; the new one says where it comes from."""
    with s.effect.resume(BOUGHT, HANDLERS, upto=0) as run:
        run.result = buyer(run)
    return [["then", s.effect.trace(BOUGHT).result], ["rewound", run.result]]


def replay(s: Substrate) -> Any:
    """Replayed with no change the run is the same to the byte, and nothing reaches the outside.
    Then the question: what would it have done, had the letter come in time? One fact is made
    otherwise, the steps before it was read stay equal, and all after that are derived anew."""
    same = s.replay.run(BOUGHT, buyer)
    letter = do.fact([{"offer/id": "Bolts & Co", "offer/price": 12}], valid_from="2026-03-15")
    other = s.replay.run(BOUGHT, buyer, do=[letter], live=HANDLERS, allow=["model/*", "shop/*"])
    return [("as it was", same), ("with the letter", other)]


def verify(s: Substrate) -> Any:
    """Every transaction was signed and is a leaf of one Merkle log. Whoever holds the public key
    can check, without us, that nothing was changed: findings, or none."""
    return [*s.audit.verify(), *s.check()] or "no findings"


DAYS: Final = ("2026-03-10", "2026-03-20")


def steps(trace: Trace) -> list[list[Any]]:
    """The steps of a trace, as rows."""
    return [[step.n, step.op, step.status, step.args, step.result] for step in trace]


def replays(found: Sequence[tuple[str, Replayed]]) -> list[list[Any]]:
    """Replays, as rows."""
    return [
        [
            name,
            each.value,
            each.prefix,
            each.hits,
            each.misses,
            "the same" if each.same else "other",
        ]
        for name, each in found
    ]


STEPS: Final = ("n", "operation", "status", "arguments", "result")

SCENES: Final = (
    Scene("Declare what names things", "2026-03-01T09:00:00+00:00", declare),
    Scene("Remember what it reads and hears", "2026-03-01T10:00:00+00:00", remember),
    Scene("Make a plan, and run it dry", "2026-03-20T08:00:00+00:00", plan, STEPS, steps),
    Scene("Act, on record", "2026-03-20T09:00:00+00:00", act, STEPS, steps, (buyer, cheapest)),
    Scene("Try three ways, keep the best", "2026-03-20T10:00:00+00:00", fork,
          ("candidate", "costs", "")),
    Scene("Learn that the past was otherwise", "2026-04-01T09:00:00+00:00", correct),
    Scene("The four quadrants", "2026-04-02T09:00:00+00:00", quadrants,
          ("", *(f"in the world on {day}" for day in DAYS))),
    Scene("Hold the agent to account", "2026-04-02T09:01:00+00:00", account,
          ("firm", "price", "source")),
    Scene("Rewind", "2026-04-02T09:02:00+00:00", rewind, ("", "bought from")),
    Scene("Ask what it would have done", "2026-04-02T09:03:00+00:00", replay,
          ("replay", "buys from", "equal steps", "from the record", "anew", "trace"), replays),
    Scene("Verify the log", "2026-04-02T09:04:00+00:00", verify),
)  # fmt: skip

MORE: Final = (
    "history '[:offer/id \"Bolts & Co\"]' :offer/price",
    f"trace show {BOUGHT}",
    f"replay {BOUGHT} --agent {__name__}:buyer --check",
    "--at 2026-03-20 q '[:find ?firm ?price :where [?o :offer/price ?price] [?o :offer/id ?firm]]'",
    "verify",
)
