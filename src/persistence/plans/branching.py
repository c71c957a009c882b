"""What a `:branch` step does to the store: begins a branch, writes on it, merges it."""

from __future__ import annotations

from typing import Final

from persistence.branches import MAIN, Branches
from persistence.connection import Connection
from persistence.effects import Call, Terminal
from persistence.errors import BranchError
from persistence.plans.plays import BEGIN, MERGE, WRITE
from persistence.values import Keyword, Map, Value

__all__ = ["branching"]

_DIGITS: Final = 12  # of the call's key in the name of a branch: no two calls share them


def branching(connection: Connection, line: str = MAIN) -> Terminal:
    """Performs the effects of `:branch` steps, beside the branch named *line*."""
    branches = Branches(connection)

    def begin(call: Call) -> Value:
        # The key is the same when the call is performed again after a crash.
        name = f"{call.args['name'][:100]}-{call.key.hex[:_DIGITS]}"
        try:
            branches.begin(name, of=call.args["of"] or line)
        except BranchError:
            branches.find(name)
        return name

    def merge(call: Call) -> Value:
        merged = branches.merge(call.args["branch"], into=call.args["into"] or line)
        return Map({Keyword("datoms"): len(merged.datoms)})

    def write(call: Call) -> Value:
        args = dict(call.args)
        number = branches.find(args.pop("branch"))
        report = connection.transact(args.pop("forms"), branch=number, **args)
        return Map({Keyword(str(name)): e for name, e in report.tempids.items()})

    return Terminal("branches", {BEGIN: begin, MERGE: merge, WRITE: write}, takes_call=True)
