"""How much of everything is measured: the issue's sizes, and small ones for a smoke test."""

from __future__ import annotations

import attrs


@attrs.frozen
class Scale:
    """Sizes of the workload and numbers of samples."""

    people: int = 20_000
    rounds: int = 9  # samples of a figure in milliseconds
    slow_rounds: int = 5  # samples of a figure in seconds; a median of at least 5
    raises: int = 4  # revisions of every salary before the past is asked
    points: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    reads: int = 200  # entities read per point-read sample
    priced: int = 10_000  # entities of the aggregate
    versions: int = 100
    durable: int = 50  # one-datom transactions per sample, FULL
    relaxed: int = 400  # one-datom transactions per sample, NORMAL
    imported: int = 1_000_000
    window: int = 100_000  # datoms per rate reading of the import
    edn_people: int = 1_000
    counted: int = 200  # increments of one thread per sample, four times those of a process
    branched: tuple[int, ...] = (10_000, 1_000_000)  # datoms of the stores that are branched
    begun: int = 20  # branches, or commits beside them, per sample
    merged: int = 1_000  # facts that a merge brings
    forked: int = 10  # facts of each candidate of a fork
    keys: int = 100  # of the agent's state
    steps: int = 1_000  # of the agent
    signed: int = 100  # transactions of each thread per sample
    logged: int = 1_000_000  # transactions of the long log
    proved: int = 200  # inclusion proofs per sample
    subjects: int = 1_000  # who share the facts among whom one is erased
    subject: int = 1_000  # facts of each of them
    effects: int = 2_000  # recorded effects per sample, in memory
    effects_stored: int = 300  # recorded effects per sample, each committed
    replayed: int = 5_000  # steps of the run that is replayed
    nodes: int = 1_000  # steps of a plan
    iterations: int = 2_000  # of a search


FULL = Scale()
QUICK = Scale(
    people=2_000,
    rounds=5,
    points=(1_000, 10_000),
    reads=50,
    priced=500,
    versions=20,
    durable=10,
    relaxed=50,
    imported=50_000,
    window=10_000,
    edn_people=100,
    counted=20,
    branched=(1_000, 10_000),
    begun=5,
    merged=100,
    keys=20,
    steps=50,
    signed=20,
    logged=3_000,
    proved=20,
    subjects=10,
    subject=50,
    effects=200,
    effects_stored=30,
    replayed=300,
    nodes=1_000,
    iterations=200,
)
