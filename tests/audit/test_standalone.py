"""The verifier as an auditor runs it: alone, with the standard library and `cryptography`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cryptography
import pytest

import persistence
from persistence.audit.merkle import inclusion_path, leaf_hash, tree_hash
from persistence.audit.proof import Evidence, Proof
from persistence.audit.tiles import Reader
from tests.audit.logs import DATOMS, Log, vkey

# Refuses all modules but those that the verifier may know, whatever is installed beside them.
GUARD = """
import sys
ALLOWED = {*sys.stdlib_module_names, "cryptography", "_cffi_backend", "cffi"}
OURS = {"persistence", "persistence.audit", *("persistence.audit." + name for name in %r)}
class Guard:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if name not in OURS if top == "persistence" else top not in ALLOWED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Guard())
sys.path[:0] = %r
import runpy
sys.argv = ["verify", *sys.argv[1:]]
runpy.run_module("persistence.audit.verify", run_name="__main__", alter_sys=True)
"""
OWN = [
    *("verify", "offline", "proved", "walk", "grown", "parallel", "report", "finding"),
    *("signers", "entries", "cbor", "heads", "shown", "terms"),
    *("signature", "vkey", "checkpoint", "note", "merkle", "tiles", "proof"),
]
PATHS = sorted({str(Path(one.__file__ or "").parents[1]) for one in (persistence, cryptography)})


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The verifier without `site`, in a process that can import nothing else."""
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", GUARD % (OWN, PATHS), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def log() -> Log:
    made = Log().begin("ada")
    for _ in range(5):
        made.add()
    return made


def test_it_runs_with_the_standard_library_and_cryptography_alone(log: Log, tmp_path: Path) -> None:
    done = run(log.export(tmp_path), "--vkey", vkey())
    assert done.stderr == ""
    assert done.returncode == 0
    assert "transactions: 7" in done.stdout
    assert "ids of transactions were not recomputed, because blake3 is not installed" in done.stdout
    assert done.stdout.endswith("no findings\n")


def test_a_finding_is_told_to_programs_and_by_the_exit_status(log: Log, tmp_path: Path) -> None:
    log.entries[4] = log.signed(log.entries[4], "eve")
    done = run(log.rehashed(5).export(tmp_path), "--vkey", vkey(), "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert told["clean"] is False
    assert [one["where"] for one in told["findings"]] == ["entry 4, signer"]
    assert told["counts"]["transactions"] == 7


def test_a_proof_is_shown_as_what_it_proves(log: Log, tmp_path: Path) -> None:
    reader = Reader(log.export(tmp_path / "log"))
    data = log.entries[3].encoded()
    evidence = Evidence(data, DATOMS[0], 0, 1, ())
    path = tuple(inclusion_path(3, 7, reader.nodes()))
    proof = tmp_path / "tea.tlog-proof"
    proof.write_text(Proof(3, path, log.checkpoint(), evidence.encoded()).text)
    done = run(proof, "--vkey", vkey())
    assert done.stderr == ""
    assert done.returncode == 0
    assert 'datom: [1 :item/sku "tea" #inst "1970-01-01T00:00:00Z"' in done.stdout
    assert 'author: "ada"' in done.stdout
    assert (
        leaf_hash(DATOMS[0])
        == tree_hash([leaf_hash(DATOMS[0])])
        == log.entries[3].header.datoms_root
    )


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["{here}"], "the following arguments are required: --vkey"),
        (["{here}", "--vkey", "no key"], "not a verifier key"),
        (["{here}/nowhere", "--vkey", "{vkey}"], "No such file"),
        (["{here}", "--vkey", "{vkey}", "--need", "1"], "--need means nothing for an export"),
        (["{here}", "--vkey", "{vkey}", "--processes", "0"], "--processes is at least 1"),
        (["{here}", "--vkey", "{vkey}", "--since", "{here}/checkpoint.old"], "No such file"),
        (["{here}", "--vkey", "{vkey}", "--since", "{here}/tile/0/000.p/7"], "not a signed note"),
        (["{here}/checkpoint", "--vkey", "{vkey}", "--since", "x"], "--since means nothing for a"),
        (["{here}/checkpoint", "--vkey", "{vkey}", "--need", "1"], "1 cosignatures are needed"),
        (["{here}/checkpoint", "--vkey", "{vkey}", "--witness", "{vkey}"], "not that of a witness"),
    ],
)
def test_misuse_is_told_with_a_hint(
    log: Log, tmp_path: Path, arguments: list[str], error: str
) -> None:
    log.export(tmp_path)
    done = run(*(one.format(here=tmp_path, vkey=vkey()) for one in arguments))
    assert done.returncode == 2
    assert done.stdout == ""
    first, second = done.stderr.splitlines()
    assert first.startswith("error: ") and error in first
    assert second.startswith("hint: ")


def test_a_proof_that_is_none_is_a_finding(log: Log, tmp_path: Path) -> None:
    done = run(log.export(tmp_path) / "checkpoint", "--vkey", vkey())
    assert done.returncode == 1
    assert "finding: proof: expected a .tlog-proof" in done.stdout
