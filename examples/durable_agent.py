"""An agent that is killed in the middle of an order, and goes on in another process.

    python examples/durable_agent.py                    # in a directory that is dropped
    python examples/durable_agent.py --store tea.db     # stays, and can be asked later

The first process buys tea and is killed by SIGKILL after the shop has taken the order, and before
the agent could learn of it. The second one takes the run up: what is on record answers, the order
is sent again with the same key, and the shop knows the key. Then the run is replayed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from uuid import UUID

from persistence import Substrate
from persistence.effects import Budget, Handler, Run, Terminal, effect, functions, policy, retry

ID = UUID("7ea00000-0000-4000-8000-000000000001")
RULES = """[{:effect :deny :op "shop/order" :when [[:pieces > 10]] :id "no-hoarding"}
            {:effect :allow :op ["model/*" "shop/*" "db/*"]}]"""


def model(messages: Any) -> dict[str, Any]:  # in the real world, an HTTP call
    script: list[dict[str, Any]] = [
        {"tool": "shop/offers", "args": {"what": "tea"}},
        {"tool": "shop/order", "args": {"what": "sencha", "pieces": 2}},
        {"answer": "sencha is on its way"},
    ]
    usage = {"input_tokens": 9, "output_tokens": 4}
    return {"say": script[sum(each["role"] == "tool" for each in messages)], "usage": usage}


def shop(book: Path, *, dies: bool) -> Terminal:
    """The outside. In its book an order is taken once for each key."""

    @effect("shop/offers", result=list[str])
    def offers(what: str) -> list[str]:
        return ["sencha", "assam"]

    @effect("shop/order", key="key")
    def order(what: str, pieces: int, key: UUID | None = None) -> dict[str, Any]:
        taken = json.loads(book.read_text()) if book.exists() else {}
        asked = taken.get(str(key), {}).get("asked", 0) + 1
        taken[str(key)] = {"what": what, "pieces": pieces, "asked": asked}
        book.write_text(json.dumps(taken))
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"ordered": what}

    return functions(offers, order)


def agent(run: Run) -> str:
    messages: list[Any] = [{"role": "user", "content": "Buy me some tea."}]
    while True:
        said = run.perform("model/chat", messages=messages)["say"]
        if "answer" in said:
            run.transact([{"order/id": "o-1", "order/tea": messages[-1]["content"]["ordered"]}])
            return str(said["answer"])
        found = run.perform(said["tool"], **said["args"])
        messages += [{"role": "assistant", "content": said}, {"role": "tool", "content": found}]


def buy(store: Path, *, dies: bool = False) -> Run:
    """Begins the run, or goes on with it."""
    chat = Terminal("model", {"model/chat": model})
    world = shop(store.with_suffix(".json"), dies=dies)
    handlers: list[Handler] = [policy(RULES), retry("model/*"), chat, world]
    limits = Budget(calls=10, tokens=1_000)
    with Substrate.open(store) as s:
        known = any(each.id == ID for each in s.effect.runs())
        begun = (
            s.effect.resume(ID, handlers, budget=limits)
            if known
            else s.effect.run("buy tea", handlers, id=ID, budget=limits)
        )
        with begun as run:
            run.result = agent(run)
    return run


def tell(store: Path) -> None:
    first = subprocess.run([sys.executable, __file__, "--store", store, "--dies"], check=False)
    print(f"the first process ended with {first.returncode}; on record is")
    with Substrate.open(store) as s:
        print(*(f"  {step}" for step in s.effect.trace(ID)), sep="\n")
    run = buy(store)
    print(f"the second says {run.result!r}; on record is")
    print(*(f"  {step}" for step in run.trace), sep="\n")
    [ordered] = json.loads(store.with_suffix(".json").read_text()).values()
    print("the shop was asked for", ordered["what"], ordered["asked"], "times, by one key")
    with Substrate.open(store) as s:
        print("the fact:", s.fact.db().q("[:find ?tea . :where [_ :order/tea ?tea]]"))
        print("replayed, it is the same:", s.replay.run(ID, agent).same)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="An agent that outlives its process.")
    parser.add_argument("--store", type=Path, help="a new file, which stays; else one is dropped")
    parser.add_argument("--dies", action="store_true", help="be the process that is killed")
    given = parser.parse_args(argv)
    if given.dies:
        buy(given.store, dies=True)
    elif given.store is not None:
        if given.store.exists():
            parser.error(f"{given.store} is there already; name a new file")
        tell(given.store)
    else:
        with tempfile.TemporaryDirectory() as place:
            tell(Path(place, "tea.db"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
