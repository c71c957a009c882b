"""DataScript from npm under Node: a process that stays up, so that its samples can take turns.

Its JavaScript build names attributes by strings and has no keywords, so the shared query texts
are rewritten for it. Times are taken inside Node.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import attrs

from bench import answers, texts
from bench.timing import SAMPLE_MS, WARM_MS
from bench.workload import ATTRIBUTES, Node, Person

NAME = "DataScript (Node)"
HOME = Path(__file__).parent.parent / ".peers"
SERVER = Path(__file__).with_suffix(".js")
RELEASE = "datascript@^1.7"

_WORD = re.compile(r"(?<![\w/]):(last-name|name|sex|age|salary|follows|male)\b")


class Absent(Exception):
    """DataScript cannot run here; says what is missing."""


def javascript(text: str) -> str:
    """A shared text with attributes and `:male` as strings.

    >>> javascript("[?e :last-name ?l] [:db/id]")
    '[?e "last-name" ?l] [:db/id]'
    """
    return _WORD.sub(r'"\1"', text)


class DataScript:
    """The Node process; `load_people` and `load_tree` make its databases.

    Raises:
        Absent: there is no Node or npm, or the package does not install.
    """

    name = NAME

    def __init__(self) -> None:
        node, npm = shutil.which("node"), shutil.which("npm")
        if node is None or npm is None:
            raise Absent("Node and npm are not on the PATH")
        if not (HOME / "node_modules" / "datascript").exists():
            HOME.mkdir(exist_ok=True)
            install = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(HOME), RELEASE]
            done = subprocess.run(install, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise Absent("npm could not install datascript")
        self._process = subprocess.Popen(
            [node, str(SERVER), str(HOME)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        about = self.ask(do="version")
        self.version = f"datascript {about['version']}, Node {about['node']}"

    def close(self) -> None:
        self._process.communicate()

    def ask(self, **request: Any) -> dict[str, Any]:
        """One request and its reply.

        Raises:
            RuntimeError: the request failed inside DataScript.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        reply: dict[str, Any] = json.loads(self._process.stdout.readline())
        if "error" in reply:
            raise RuntimeError(f"DataScript: {reply['error']}")
        return reply

    def load_people(self, crowd: Iterable[Person], db: str = "people") -> None:
        self.ask(do="load", db=db, entities=[_entity(person) for person in crowd])

    def load_tree(self, nodes: Iterable[Node], db: str = "tree") -> None:
        entities = [_entity(n.person) | {"follows": list(n.follows)} for n in nodes]
        self.ask(do="load", db=db, entities=entities)

    def asking(self, figure: str) -> Remote:
        text, inputs = texts.QUERIES[figure]
        work = {"db": "people", "kind": "q", "text": javascript(text), "inputs": list(inputs)}
        return Remote(self, work, answers.rows)

    def following(self) -> Remote:
        inputs = [javascript(texts.FOLLOWS_RULES)]
        work = {"db": "tree", "kind": "q", "text": javascript(texts.FOLLOWS), "inputs": inputs}
        return Remote(self, work, answers.rows)

    def pulling(self) -> Remote:
        work = {"db": "tree", "kind": "pull", "text": javascript(texts.PULL)}
        return Remote(self, work, answers.tree)

    def loading(self, count: int) -> Remote:
        """The people of `load_people` once more into an empty database, in one transaction."""
        return Remote(self, {"db": "people", "kind": "load"}, constant=count)


@attrs.define
class Remote:
    """Work done and timed inside Node, as a contender."""

    peer: DataScript
    work: dict[str, Any]
    normal: Callable[[Any], Any] = lambda answer: answer
    constant: Any = None
    _repeat: int = attrs.field(default=1, init=False)

    @property
    def name(self) -> str:
        return NAME

    def answer(self) -> Any:
        if self.constant is not None:
            return self.constant
        return self.normal(self.peer.ask(do="answer", **self.work)["answer"])

    def observed(self, observe: Callable[..., Any]) -> int:
        observe(self.answer)
        return 1

    def warm(self) -> None:
        runs, spent = 0, 0.0
        while spent < 5 * WARM_MS and runs < 500:  # the JIT needs longer than our caches do
            spent += self.peer.ask(do="sample", repeat=1, **self.work)["ms"]
            runs += 1
        self._repeat = max(1, round(SAMPLE_MS * runs / spent))

    def sample(self) -> float:
        reply = self.peer.ask(do="sample", repeat=self._repeat, **self.work)
        return float(reply["ms"])


def _entity(person: Person) -> dict[str, Any]:
    return {":db/id": person.id, **dict(zip(ATTRIBUTES, person[1:], strict=True))}
