"""The Datalog of every query figure, read by Persistence and by DataScript alike.

`{sex}` stands for the value `male`: a keyword in Persistence, a string in DataScript's JavaScript
build, which has no keywords. Attributes are written `:name` and quoted for JavaScript by its peer.
"""

from __future__ import annotations

Q1 = '[:find ?e :where [?e :name "Ivan"]]'
Q2 = '[:find ?e ?a :where [?e :name "Ivan"] [?e :age ?a]]'
Q2_SWAPPED = '[:find ?e ?a :where [?e :age ?a] [?e :name "Ivan"]]'
Q3 = '[:find ?e ?a :where [?e :name "Ivan"] [?e :age ?a] [?e :sex :male]]'
Q4 = """[:find ?e ?l ?a :where [?e :name "Ivan"] [?e :last-name ?l] [?e :age ?a]
         [?e :sex :male]]"""
Q5 = '[:find ?e :where [?e :name "Nobody"]]'
QPRED_LITERAL = "[:find ?e ?s :where [?e :salary ?s] [(> ?s 50000)]]"
QPRED_INPUT = "[:find ?e ?s :in $ ?min :where [?e :salary ?s] [(> ?s ?min)]]"

FOLLOWS = "[:find ?x ?y :in $ % :where (follows ?x ?y)]"
FOLLOWS_RULES = """[[(follows ?x ?y) [?x :follows ?y]]
                    [(follows ?x ?y) [?x :follows ?t] (follows ?t ?y)]]"""

PULL = "[:db/id :name :last-name :sex :age :salary {:follows 4}]"

TOTAL = "[:find (sum ?p) . :with ?e :where [?e :price ?p]]"

# What the query figures ask, by figure: the text and the inputs after the database.
QUERIES: dict[str, tuple[str, tuple[int, ...]]] = {
    "q1": (Q1, ()),
    "q2": (Q2, ()),
    "q3": (Q3, ()),
    "q4": (Q4, ()),
    "q5": (Q5, ()),
    "q2 swapped": (Q2_SWAPPED, ()),
    "qpred literal": (QPRED_LITERAL, ()),
    "qpred input": (QPRED_INPUT, (50_000,)),
}
