"""Writes the numbers of the paper: `paper/figures.json`, from the committed `results.json`.

The evaluation types no number. It names figures, and what stands in their place is what the last
whole run measured, so that text and measurement cannot drift apart.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from bench.report import number

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
FIGURES = HERE.parent / "paper" / "figures.json"


def figures(results: dict[str, Any]) -> str:
    """What the paper reads, as text: every number twice, to be shown and to be drawn.

    >>> text = figures({"machine": {}, "figures": [], "skipped": {}, "failed": {}})
    >>> json.loads(text)["counts"]["met"]["shown"]
    '0'
    """
    records = [_record(figure) for figure in results["figures"]]
    judged = [record for record in records if record["met"] is not None]
    met = sum(record["met"] for record in judged)
    samples = [
        spread["samples"] for figure in results["figures"] for spread in figure["spread"].values()
    ]
    counts = {
        "all": len(records),
        "judged": len(judged),
        "met": met,
        "missed": len(judged) - met,
        "fewest samples": min(samples, default=0),
        "most samples": max(samples, default=0),
    }
    document = {
        "machine": results["machine"],
        "counts": {name: _shown(count) for name, count in counts.items()},
        "figures": {record["figure"]: record for record in records},
        "skipped": sorted(results["skipped"]),
        "failed": sorted(results["failed"]),
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _record(figure: dict[str, Any]) -> dict[str, Any]:
    values = {name: _shown(median) for name, median in _medians(figure).items()}
    return {
        "section": figure["section"],
        "figure": figure["figure"],
        "unit": figure["unit"],
        "base": figure["base"],
        "values": values,
        "ratio": _shown(figure["ratio"], ratio=True),
        "must": figure["must"],
        "met": figure["met"],
        "note": figure["note"],
    }


def _medians(figure: dict[str, Any]) -> dict[str, float]:
    """The median of each contender, under its name."""
    told = {"ours": figure["ours"], "floor": figure["floor"], **figure["peers"]}
    if figure["base"] not in told and figure["ratio"]:
        told[figure["base"]] = figure["ours"] / figure["ratio"]
    return {name: value for name, value in told.items() if value is not None}


def _shown(value: float | None, *, ratio: bool = False) -> dict[str, Any]:
    if value is None:
        return {"shown": "–", "value": None}
    if isinstance(value, int) or value == 0:
        return {"shown": f"{value:.0f}", "value": value}
    text = f"{value:.2f}" if ratio and value < 10 else number(value)
    return {"shown": _spaced(text), "value": float(f"{value:.6g}")}


def _spaced(text: str) -> str:
    """Groups of three digits from five digits on.

    >>> _spaced("88251"), _spaced("4037"), _spaced("0.00331")
    ('88\\u202f251', '4037', '0.00331')
    """
    if "." in text or len(text) < 5:
        return text
    return f"{int(text):,}".replace(",", "\u202f")


@click.command()
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=FIGURES,
    help="Where to write; by default where the paper reads.",
)
def main(out: Path) -> None:
    """Write the numbers of the paper from the results of the last whole run."""
    out.write_text(figures(json.loads(RESULTS.read_text("utf-8"))), "utf-8")


if __name__ == "__main__":
    main()
