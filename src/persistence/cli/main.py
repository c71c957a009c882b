"""The group of all commands, and the one place where a failure becomes an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import click

from persistence.cli import failures
from persistence.cli.ask import entity, explain, pull, q
from persistence.cli.audit import checkpoint, export, prove
from persistence.cli.branch import branch, diff, merge
from persistence.cli.demo import demo
from persistence.cli.erase import erase, shred
from persistence.cli.history import history, log
from persistence.cli.importer import import_
from persistence.cli.keys import keys
from persistence.cli.replay import replay
from persistence.cli.schema import schema
from persistence.cli.session import common
from persistence.cli.traces import trace
from persistence.cli.upkeep import check, reindex, stats
from persistence.cli.verify import verify
from persistence.cli.witness import witness
from persistence.cli.write import init, transact


class _Program(click.Group):
    """Reports failures as `error:` and `hint:`, and ends with the exit code they mean."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        try:
            code = super().main(args, prog_name, complete_var, False, **extra)
            if not standalone_mode:
                return code
        except Exception as error:
            if not standalone_mode:
                raise
            code = failures.explain(error)
        except KeyboardInterrupt as error:
            code = failures.explain(error)
        failures.leave(code if isinstance(code, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            found = super().invoke(ctx)
            sys.stdout.flush()
            return found
        except BrokenPipeError as error:
            raise failures.NoReader from error  # click would end with 0

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order in which one meets them


@click.group(
    cls=_Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Every command takes these options too, and tells more with --help.",
)
@common(hidden=False)
@click.version_option(metadata.version("persistence-substrate"), prog_name="persistence")
def main() -> None:
    """A bitemporal datom store: what holds, since when, and when we learned it.

    \b
    A first look:        persistence demo
    A store of your own: persistence --store shop.db transact '[{:item/name "tea"}]'
                         persistence --store shop.db q '[:find ?n :where [_ :item/name ?n]]'
    """


for _command in (
    demo,
    init,
    transact,
    q,
    pull,
    entity,
    history,
    log,
    branch,
    diff,
    merge,
    import_,
    trace,
    replay,
    schema,
    explain,
    stats,
    check,
    reindex,
    keys,
    checkpoint,
    prove,
    export,
    verify,
    witness,
    erase,
    shred,
):
    main.add_command(_command)
