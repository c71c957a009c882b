#!/usr/bin/env python3
"""Sets the project up and runs it. Needs Python 3.11 or later and nothing else.

Everything else is fetched into .venv beside this file, at the versions in constraints.txt,
and fetched again only when pyproject.toml or constraints.txt changes.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import itertools
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
CONSTRAINTS = ROOT / "constraints.txt"
STAMP = VENV / "persistence-set-up.json"
OLDEST = (3, 11)
WORKERS = "2"  # the suite starts servers and processes of its own; more workers gain little

CHECKS = {
    "ruff check": ["-m", "ruff", "check"],
    "ruff format": ["-m", "ruff", "format", "--check"],
    "mypy": ["-m", "mypy", "--strict", "src"],
    "lint-imports": [
        "-c",
        "from importlinter.cli import lint_imports_command as c; c()",
        "--no-logo",
    ],
}


class Unready(Exception):
    """This machine cannot run the command; the message and the hint say why."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def say(text: str) -> None:
    print(f"run.py: {text}", file=sys.stderr, flush=True)


def bin_of(venv: Path, name: str) -> Path:
    return venv / ("Scripts" if os.name == "nt" else "bin") / name


def call(*command: str | Path) -> int:
    """Runs *command* in the project's root and returns its exit code."""
    return subprocess.run([str(part) for part in command], cwd=ROOT, check=False).returncode


def make_venv(venv: Path) -> None:
    if bin_of(venv, "python").exists():
        return
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if missing:
        raise Unready(
            f"this Python ({sys.executable}) lacks the module {' and '.join(missing)}",
            "on Debian and Ubuntu: apt-get install python3-venv; or use another Python",
        )
    say(f"making {venv.name} with Python {sys.version.split()[0]}")
    if call(sys.executable, "-m", "venv", venv):
        raise Unready(
            f"cannot make a virtual environment in {venv}",
            "the lines above say why; remove that directory and try again",
        )


def install(venv: Path, extras: set[str], *, constraints: Path | None) -> None:
    """Installs the project, editable, with *extras*; quiet unless it fails."""
    names = f"[{','.join(sorted(extras))}]" if extras else ""
    say(f"installing persistence-substrate{names} (a minute or two the first time)")
    started = time.monotonic()
    done = subprocess.run(
        [
            *(bin_of(venv, "python"), "-m", "pip", "install", "--quiet"),
            *("--disable-pip-version-check", "--no-input", "--progress-bar", "off"),
            *("--editable", f".{names}"),
            *(("--constraint", constraints) if constraints else ()),
        ],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        check=False,
    )
    if done.returncode:
        raise Unready(
            "pip could not install what the project needs",
            "the lines above say why; a package index must be reachable",
        )
    say(f"installed in {time.monotonic() - started:.0f} s")


def fingerprint() -> str:
    """What an installation depends on: the two files, the interpreter and the place."""
    digest = hashlib.sha256(f"{sys.version} {ROOT}".encode())
    for path in (ROOT / "pyproject.toml", CONSTRAINTS):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def set_up(*extras: str) -> Path:
    """Makes .venv hold the project and *extras*, and returns its Python."""
    make_venv(VENV)
    now = fingerprint()
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        stamp = {}
    held = set(stamp.get("extras", ())) if stamp.get("fingerprint") == now else None
    if held is None or not held.issuperset(extras):
        wanted = (held or set()).union(extras)
        STAMP.unlink(missing_ok=True)
        install(VENV, wanted, constraints=CONSTRAINTS)
        STAMP.write_text(json.dumps({"fingerprint": now, "extras": sorted(wanted)}))
    return bin_of(VENV, "python")


def demo(arguments: list[str]) -> int:
    set_up()
    return call(bin_of(VENV, "persistence"), "demo", *arguments)


def static_checks(python: Path) -> list[str]:
    failed = []
    for name, command in CHECKS.items():
        say(name)
        if call(python, *command):
            failed.append(name)
    return failed


def verdict(failed: list[str]) -> int:
    if failed:
        say(f"FAILED: {', '.join(failed)}")
    return 1 if failed else 0


def check(arguments: list[str]) -> int:
    if arguments:
        raise Unready("check takes no arguments", "python3 run.py check")
    return verdict(static_checks(set_up("dev")))


def test(arguments: list[str]) -> int:
    python = set_up("dev")
    failed = static_checks(python)
    say(shlex.join(["pytest", *arguments]))
    spread = () if {"-n", "--pdb"} & set(arguments) else ("-n", WORKERS)
    if call(python, "-m", "pytest", *spread, *arguments):
        failed.append("pytest")
    return verdict(failed)


def docs(arguments: list[str]) -> int:
    python = set_up("dev")
    strict = ("-q", "-W", "--keep-going")
    return call(python, "-m", "sphinx", *strict, *arguments, "docs", "docs/_build")


def paper(arguments: list[str]) -> int:
    return call(set_up("dev"), "paper/build.py", *arguments)


def bench(arguments: list[str]) -> int:
    return call(set_up("dev", "bench"), "-m", "bench", *arguments)


def lock(arguments: list[str]) -> int:
    """Resolves the newest versions the ranges allow and writes them to constraints.txt."""
    if arguments:
        raise Unready("lock takes no arguments", "python3 run.py lock")
    with tempfile.TemporaryDirectory() as scratch:
        venv = Path(scratch) / "venv"
        make_venv(venv)
        install(venv, {"dev", "bench"}, constraints=None)
        frozen = subprocess.run(
            [bin_of(venv, "python"), "-m", "pip", "freeze", "--exclude-editable"],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
    header = (
        "# The versions the project was tried with; run.py installs these.\n"
        "# Written by: python3 run.py lock\n"
    )
    CONSTRAINTS.write_text(header + frozen)
    say(f"constraints.txt: {len(frozen.splitlines())} versions; now run the tests")
    return 0


def lowest(arguments: list[str]) -> int:
    """Runs the tests with the oldest versions that the ranges for users allow."""
    import tomllib  # noqa: PLC0415  an older Python must get as far as being told so

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    optional = (extras[name] for name in ("postgres", "pandas", "witness", "otel"))
    for_users = [*project["dependencies"], *itertools.chain(*optional)]
    with tempfile.TemporaryDirectory() as scratch:
        bounds = Path(scratch) / "lowest.txt"
        bounds.write_text(
            "\n".join(re.sub(r"\[.*\]", "", line) for line in for_users).replace(">=", "==")
        )
        venv = Path(scratch) / "venv"
        make_venv(venv)
        install(venv, {"dev"}, constraints=bounds)
        return call(bin_of(venv, "python"), "-m", "pytest", "-n", WORKERS, *arguments)


COMMANDS = {
    "demo": (demo, "a first look, on the embedded default"),
    "test": (test, "the static checks, then the whole test suite; arguments go to pytest"),
    "check": (check, "only the static checks: ruff, mypy, import-linter"),
    "docs": (docs, "build the documentation into docs/_build"),
    "paper": (paper, "set the paper as paper/paper.pdf"),
    "bench": (bench, "measure, and write bench/results.md; arguments go to bench"),
    "lowest": (lowest, "the test suite with the oldest versions that the ranges allow"),
    "lock": (lock, "write constraints.txt anew"),
}


def main() -> int:
    if sys.version_info < OLDEST:
        raise Unready(
            f"Python {sys.version.split()[0]} is too old",
            "run this file with Python {}.{} or later".format(*OLDEST),
        )
    summary = "\n".join(f"  {name:<6} {text}" for name, (_, text) in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="run.py",
        description=f"{__doc__}\n{summary}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    chosen = parser.parse_args()
    return COMMANDS[chosen.command][0](chosen.arguments)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Unready as unready:
        print(f"error: {unready}\nhint: {unready.hint}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
