"""The repository as a stranger finds it: complete, consistent, and tied to no machine."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# Spelled with brackets, so that this file does not match itself.
MACHINE = re.compile(
    r"/[w]ork/|/[f]arm/|/[h]ome/\w+/|/[r]oot/|/[U]sers/\w+/"
    r"|[p]ypi\.|[p]ythonhosted|[n]pmjs|[d]eb\.debian|\.[l]ibrary/"
)


def tracked() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True)
    if listing.returncode:
        pytest.skip("not a git checkout: which files belong to the project is not known")
    paths = [ROOT / name for name in listing.stdout.decode().split("\0") if name]
    return [path for path in paths if path.exists()]


def text_of(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def requirements() -> list[Requirement]:
    lines = [*PROJECT["dependencies"]]
    for extra in PROJECT["optional-dependencies"].values():
        lines.extend(extra)
    return [Requirement(line) for line in lines]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    found = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in found.items()}


@pytest.mark.parametrize(
    "name",
    [
        *("README.md", "CLAUDE.md", "CHANGELOG.md", "LICENSE", "Makefile", "run.py"),
        *("pyproject.toml", "constraints.txt", ".ci/run", "src/persistence/py.typed"),
        *("docs/index.md", "docs/glossary.md", "docs/adr/index.md", "paper/README.md"),
        *("bench", "examples", "tests/vectors"),
    ],
)
def test_the_top_level_has(name: str) -> None:
    assert (ROOT / name).exists()


def test_no_tracked_file_names_a_machine_or_a_registry() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in tracked()
        for number, line in enumerate((text_of(path) or "").splitlines(), 1)
        if MACHINE.search(line)
    ]
    assert not found, "\n".join(found)


def test_nothing_that_git_ignores_is_tracked() -> None:
    if not tracked():
        pytest.skip("git tracks nothing here")
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert listing.stdout == ""


def test_the_changelog_starts_with_the_version_of_the_project() -> None:
    versions = re.findall(
        r"^## \[?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE
    )
    assert versions[0] == PROJECT["version"] == metadata.version(PROJECT["name"])


def test_the_constraints_pin_every_declared_dependency_within_its_range() -> None:
    pinned = pins()
    for requirement in requirements():
        name = canonicalize_name(requirement.name)
        if name != PROJECT["name"]:
            assert name in pinned, f"constraints.txt lacks {name}"
            assert requirement.specifier.contains(pinned[name]), f"{requirement} excludes its pin"


def test_the_constraints_name_versions_only() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    odd = [line for line in lines if not re.fullmatch(r"#.*|[\w.-]+==[\w.]+", line)]
    assert not odd
    assert canonicalize_name(PROJECT["name"]) not in pins()


def test_the_readme_gives_the_two_commands_near_its_top() -> None:
    top = (ROOT / "README.md").read_text().splitlines()[:30]
    assert "python3 run.py demo" in "\n".join(top)
    assert "python3 run.py test" in "\n".join(top)


def test_every_schema_file_is_the_stores_or_the_witnesss() -> None:
    witness = ROOT / "src" / "persistence" / "audit" / "witness.sql"
    outside = [
        path
        for path in tracked()
        if path.suffix == ".sql" and "src/persistence" in path.relative_to(ROOT).as_posix()
        if (ROOT / "src" / "persistence" / "store" / "sql") not in path.parents and path != witness
    ]
    assert not outside


def test_the_licence_is_the_whole_apache_text() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_an_old_python_can_read_run_py_far_enough_to_refuse() -> None:
    ast.parse((ROOT / "run.py").read_text(), feature_version=(3, 7))


def test_a_python_without_ensurepip_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.util.spec_from_file_location("run", ROOT / "run.py")
    assert spec is not None and spec.loader is not None
    run = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(run)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(run.Unready, match="lacks the module venv and ensurepip") as refused:
        run.make_venv(tmp_path / ".venv")
    assert "apt-get install python3-venv" in refused.value.hint
