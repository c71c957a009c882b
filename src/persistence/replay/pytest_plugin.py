"""A fixture for tests of agents: records what they ask of the outside, and replays it ever after.

pytest imports this in every session, so it imports nothing of the package until a test asks.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from persistence.replay.recorder import EffectRecorder

FOLDER: Final = "cassettes"  # beside the file of the test

_KEY: Final = pytest.StashKey["EffectRecorder"]()
_ODD: Final = re.compile(r"[^A-Za-z0-9_.=+-]+")
_LONG: Final = 120  # characters of a file's name


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds ``--effects``."""
    parser.getgroup("persistence").addoption(
        "--effects",
        choices=("record", "replay", "live"),
        default=None,
        help="What the fixture `effects` does: replay from the cassette and perform nothing; "
        "record it anew; live: perform and keep nothing. Default: replay if there is a cassette, "
        "else record.",
    )


@pytest.fixture
def effects(request: pytest.FixtureRequest) -> EffectRecorder:
    """Opens runs whose effects are recorded in a file beside the test, and replayed from it.

    The first time a test runs, its effects are performed; once it has passed, they are written to
    ``cassettes/<file>/<test>.edn``. From then on they are answered from there, nothing goes
    outside, and the test fails at the first effect that is not the recorded one.

        def test_agent(effects):
            with effects.run("shop", [tools]) as run:
                assert agent(run) == "bought"
    """
    from persistence.replay.recorder import EffectRecorder  # noqa: PLC0415  for tests that ask

    item = request.node
    name = f"{item.path.stem}::{_name(item)}"
    made = EffectRecorder(cassette_of(item), name, request.config.getoption("--effects"))
    item.stash[_KEY] = made
    return made


def cassette_of(item: Any) -> Path:
    """The file in which the effects of the test *item* are kept."""
    path: Path = item.path
    return path.parent / FOLDER / path.stem / f"{_file_name(_name(item))}.edn"


def _name(item: Any) -> str:
    """The name of the test in its file."""
    within = getattr(item.cls, "__qualname__", None)
    return str(item.name) if within is None else f"{within}.{item.name}"


def _file_name(name: str) -> str:
    """*name* as that of a file; no other test's, also where characters must be left out of it.

    >>> _file_name("test_shop[tea]"), _file_name("test_shop[tea/milk]")
    ('test_shop-tea', 'test_shop-tea-milk-...')
    """
    plain = name.replace("[", "-").removesuffix("]")
    if len(plain) <= _LONG and not _ODD.search(plain):
        return plain
    mark = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{_ODD.sub('-', plain)[:_LONG]}-{mark}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Ends the recording of a test that has passed; says of one that failed where it diverged."""
    try:
        result = yield
    except BaseException:
        made = item.stash.get(_KEY, None)
        if made is not None and made.divergence is not None:
            item.add_report_section("call", "effects", str(made.divergence))
        raise
    made = item.stash.get(_KEY, None)
    if made is not None:
        made.finish()
    return result
