"""`python -m bench`: measure everything, write results.md and results.json beside this file."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bench import machine, report
from bench.figures import SECTIONS
from bench.lab import Lab
from bench.scale import FULL, QUICK

HERE = Path(__file__).parent


@click.command()
@click.option("--quick", is_flag=True, help="Small sizes: a smoke test, not a measurement.")
@click.option("--only", multiple=True, metavar="NAME", help="A section or a figure; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON as well.")
@click.option("--floors", is_flag=True, help="Measure floors and peers without Persistence.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Where to write.")
@click.option("--list", "listing", is_flag=True, help="List sections and figures, measure nothing.")
def main(
    quick: bool, only: tuple[str, ...], as_json: bool, floors: bool, out: Path | None, listing: bool
) -> None:
    """Measure Persistence against hand-written SQL and against its peers.

    A whole run writes bench/results.md and bench/results.json. A partial or quick one prints its
    figures and writes only where --out says, so that it never replaces a whole run's results.
    """
    if listing:
        for section in SECTIONS:
            click.echo(f"{section.name}: {', '.join(section.figures)}")
        return
    known = {name for section in SECTIONS for name in (section.name, *section.figures)}
    if unknown := sorted(set(only) - known):
        raise click.UsageError(f"no section or figure is called {', '.join(unknown)}; try --list")

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as room,
        Progress(*columns, console=console, transient=True) as progress,
    ):
        lab = Lab(QUICK if quick else FULL, Path(room), console, progress, frozenset(only))
        lab.facts.update(machine.facts(Path(room)))
        if not floors:
            from bench.ours import Ours  # noqa: PLC0415  # floors run without it

            lab.ours = Ours
        lab.run(SECTIONS)

    outcome = (lab.figures, lab.facts, lab.skipped, lab.failed)
    target = out if out is not None else None if quick or only or floors else HERE
    if target is not None:
        target.mkdir(parents=True, exist_ok=True)
        (target / "results.md").write_text(report.as_markdown(*outcome))
        (target / "results.json").write_text(report.as_json(*outcome))
    if as_json:
        click.echo(report.as_json(*outcome), nl=False)
    sys.exit(1 if lab.failed else 0)


if __name__ == "__main__":
    main()
