"""The rules about keys, written twice: the store's roster and the verifier's agree on every log."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from persistence.audit.entries import read_entry
from persistence.audit.roster import ADD, AUTHOR, ERASE, LOG, REVOKE, ROTATE, WITNESS, Roster
from persistence.audit.signers import Signers
from persistence.audit.terms import Keyword
from persistence.values import Keyword as Theirs
from tests.audit.logs import Log, public

PEOPLE = ("log", "log2", "ada", "bob", "eve")
people = st.sampled_from(PEOPLE)
publics = people.map(public) | st.sampled_from([b"short", None, "text", 7])
names = people | st.sampled_from(["", "two\nlines", None, 7])
roles = st.sampled_from([LOG, AUTHOR, WITNESS, Theirs("other"), None])
namespaces = st.sampled_from([(), ("item",), ("",), (7,), "item", None])
odd = st.sampled_from([(), (ADD,), (Theirs("key/lend"), b""), (None,), ((),), (ERASE,)])
events = st.one_of(
    st.tuples(st.just(ADD), roles, names, publics, namespaces),
    st.tuples(
        st.just(ADD), st.sampled_from([LOG, AUTHOR]), people, people.map(public), st.just(())
    ),
    st.tuples(st.just(ROTATE), publics, publics),
    st.tuples(st.just(ROTATE), people.map(public), people.map(public)),
    st.tuples(st.just(REVOKE), publics),
    st.tuples(st.just(ERASE), st.just((7,)), st.integers(0, 5)),
    odd,
)
entries = st.tuples(st.none() | people, st.none() | people, st.none() | events)


@given(st.booleans(), st.lists(entries, max_size=12))
def test_both_refuse_the_same_entries(begun: bool, steps: list[Any]) -> None:
    log = Log()
    if begun:
        log.begin("ada", "bob")
    for by, author, event in steps:
        log.add(by, author=author, event=event)
    roster, signers = Roster(), Signers(public("log"))
    for index, made in enumerate(log.entries):
        problem = roster.problem(made)
        ours = signers.take(index, read_entry(made.encoded()))
        # Which log it is for is not looked at by the roster; a forged first key begins another.
        if ours is not None and "does not belong" in ours:
            return
        assert (ours is None) is (problem is None), (problem, ours)
        if problem is None:
            roster = roster.after(index, made.header.event)
        current = {key.public for key in roster.current(LOG)}
        assert {one.public for one in signers.log_keys() if one.in_force(index + 1)} == current
        assert signers.names(Keyword("author")) == {
            key.name for key in roster.keys.values() if key.role is AUTHOR
        }
        for size in range(index + 2):
            assert {one.public for one in signers.log_keys() if one.in_force(size)} == {
                key.public for key in roster.at(size, LOG)
            }
