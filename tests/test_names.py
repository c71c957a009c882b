"""The names of the package are there when asked for, and not before."""

from __future__ import annotations

import ast
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import persistence

SOURCE = Path(persistence.__file__).read_text()


def imported_for_types() -> dict[str, str]:
    """What a type checker sees: each name, and the module it comes from."""
    tree = ast.parse(SOURCE)
    block = next(node for node in tree.body if isinstance(node, ast.If))
    return {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom) and node.module is not None
        for alias in node.names
    }


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_type_checkers_see_is_what_is_there() -> None:
    seen = imported_for_types()
    assert sorted(seen) == sorted(persistence.__all__)
    for name, module in seen.items():
        assert getattr(persistence, name) is getattr(sys.modules[module], name)


def test_a_star_import_brings_every_name() -> None:
    found = run(
        "from persistence import *; import persistence as p; print(set(p.__all__) - {*dir()})"
    )
    assert found == "set()"


def test_importing_the_package_loads_nothing_of_it() -> None:
    found = run("import sys, persistence; print([m for m in sys.modules if 'persistence.' in m])")
    assert found == "[]"


def test_the_names_are_listed_before_they_are_loaded() -> None:
    assert run("import persistence; print({*persistence.__all__} - {*dir(persistence)})") == "set()"


def test_the_rooms_of_the_package_can_be_reached_from_it() -> None:
    assert run("import persistence; print(persistence.errors.CasFailed.__name__)") == "CasFailed"


def test_an_unknown_name_is_missing_as_from_any_module() -> None:
    with pytest.raises(AttributeError, match="module 'persistence' has no attribute 'nothing'"):
        persistence.nothing  # type: ignore[attr-defined]
    assert not hasattr(persistence, "_nothing")


def test_exported_classes_can_be_pickled() -> None:
    for name in persistence.__all__:
        thing = getattr(persistence, name)
        assert pickle.loads(pickle.dumps(thing)) is thing
