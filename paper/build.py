"""Builds the paper: `python paper/build.py`.

Needs `typst` from PyPI and nothing else: fonts come with it, and no package is fetched.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

try:
    import typst
except ImportError:  # told in `main`, in words
    typst = None

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "main.typ"


def build() -> tuple[bytes, list[str]]:
    """The PDF, and what the compiler warns of."""
    options = {"root": str(HERE), "ignore_system_fonts": True}
    if hasattr(typst, "compile_with_warnings"):
        pdf, warnings = typst.compile_with_warnings(str(SOURCE), **options)
        return pdf, [str(warning) for warning in warnings]
    return typst.compile(str(SOURCE), **options), []


def main(arguments: list[str] | None = None) -> int:
    """Writes the PDF; 0 when it is sound, 1 with warnings, 2 when it cannot be built."""
    parser = argparse.ArgumentParser(description="Build the paper to PDF.")
    parser.add_argument(
        "--out",
        type=Path,
        default=HERE / "paper.pdf",
        help="the file to write (paper/paper.pdf)",
    )
    out = parser.parse_args(arguments).out
    if typst is None:
        print("error: the package typst is not installed", file=sys.stderr)
        print("hint: python -m pip install typst", file=sys.stderr)
        return 2
    try:
        pdf, warnings = build()
        out.write_bytes(pdf)
    except (RuntimeError, OSError) as error:
        print(f"error: the paper was not built: {error}", file=sys.stderr)
        return 2
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"{os.path.relpath(out)}: {len(pdf) // 1024} KiB")
    return 1 if warnings else 0


if __name__ == "__main__":
    sys.exit(main())
