"""Judges histories of list-append and rw-register transactions, as Elle does.

Kingsbury & Alvaro, "Elle: Inferring Isolation Anomalies from Experimental Observations" (VLDB
2020). Nothing is found in a history of a strictly serializable store; what is found cannot have
been produced by one.

Not inferred: dependencies through predicates (phantoms), which neither workload has.
"""

from __future__ import annotations

from collections.abc import Collection

from tests.histories.cycles import cyclic_anomalies
from tests.histories.finding import Findings
from tests.histories.history import History
from tests.histories.infer_append import infer_append
from tests.histories.infer_register import infer_register
from tests.histories.orders import ORDERS, order_graph
from tests.histories.versions import Inference


def check_append(history: History, *, orders: Collection[str] = ORDERS) -> Findings:
    """What no store that is serializable, and keeps *orders*, can have shown of its lists.

    Without *orders* this checks serializability, with `process` strong session, with `realtime`
    strict serializability.

    >>> from tests.histories.history import parse
    >>> lost = parse('''
    ... {:process 0 :type :invoke :f :txn :value [[:append :x 1]]}
    ... {:process 0 :type :ok     :f :txn :value [[:append :x 1]]}
    ... {:process 1 :type :invoke :f :txn :value [[:r :x nil]]}
    ... {:process 1 :type :ok     :f :txn :value [[:r :x []]]}''')
    >>> [finding.name for finding in check_append(lost)], check_append(lost, orders=())
    (['G-single-realtime'], ())

    Raises:
        HistoryError: the history is malformed, or an element is appended to a key twice.
    """
    return _judge(history, infer_append(history), orders)


def check_register(
    history: History, *, orders: Collection[str] = ORDERS, key_order: str | None = None
) -> Findings:
    """What no store that is serializable, and keeps *orders*, can have shown of its registers.

    *key_order*, `process` or `realtime`, is what each key keeps by itself; it makes more
    dependencies known. Use it where the store promises it: see `infer_register`.

    Raises:
        HistoryError: the history is malformed, or a value is written to a key twice.
    """
    return _judge(history, infer_register(history, key_order=key_order), orders)


def _judge(history: History, inference: Inference, orders: Collection[str]) -> Findings:
    graph = inference.graph.merged(order_graph(inference.committed, orders))
    transactions = history.transactions
    return inference.findings + cyclic_anomalies(graph, lambda id: transactions[id].op)
