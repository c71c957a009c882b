"""Runs the examples of a Markdown page in the order a reader meets them.

`python` blocks run as written, or as a doctest when they start with `>>>`. In `console` blocks
every `$ persistence …` line runs the command line program and the lines below it are the
expected standard output, or, when they start with `error:`, the expected refusal. There `...`
stands for any text with the blanks around it, and other blanks count as one. Other languages
are text. All examples of a page share one namespace and one empty directory.
"""

from __future__ import annotations

import doctest
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from click import Command
from click.testing import CliRunner
from sybil import Document, Example
from sybil.parsers.myst import CodeBlockParser, PythonCodeBlockParser
from sybil.typing import Parser

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class ConsoleSession:
    """Evaluates the `console` blocks of a page."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.run = CliRunner()

    def __call__(self, example: Example) -> str | None:
        for line, expected in commands(str(example.parsed)):
            words = shlex.split(line)
            if words[0] != "persistence":
                return f"only `persistence` can run in a console block, not {line!r}"
            result = self.run.invoke(self.command, words[1:], prog_name=words[0])
            refused = expected.startswith("error:")
            found = result.stderr if refused else result.stdout
            if result.exit_code != 2 * refused or not matches(expected, found):
                return (
                    f"$ {line}\nexpected:\n{expected}\nfound (exit {result.exit_code}):\n"
                    f"{result.output}{result.exception or ''}"
                )
        return None


def commands(block: str) -> Iterator[tuple[str, str]]:
    """Each command of a console block with its expected output.

    A command goes on in the next line after a backslash and within quotes, as in a shell.
    """
    for part in re.split(r"^\$ ", block.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
        line, _, expected = part.partition("\n")
        while not closed(line) and expected:
            more, _, expected = expected.partition("\n")
            line = f"{line}\n{more}"
        yield line.strip(), expected


def closed(line: str) -> bool:
    """Whether every quote in *line* is closed."""
    try:
        shlex.split(line)
    except ValueError:
        return False
    return True


def matches(expected: str, found: str) -> bool:
    """Whether *found* is what the page says; a page that says nothing accepts anything."""
    if not expected.strip():
        return True
    said = re.sub(r"\s*\.\.\.\s*", "...", " ".join(expected.split()))
    return doctest.OutputChecker().check_output(f"{said}\n", f"{' '.join(found.split())}\n", FLAGS)


def parse(page: Path, command: Command) -> Document:
    """The page with its runnable examples."""
    parsers: list[Parser] = [
        PythonCodeBlockParser(doctest_optionflags=FLAGS),
        CodeBlockParser(language="console", evaluator=ConsoleSession(command)),
    ]
    return Document.parse(str(page), *parsers)
