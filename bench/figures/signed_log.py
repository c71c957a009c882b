"""The signed log: what signing costs, how fast threads sign, and a log of 1 000 000 transactions.

The long log is written once, by the store itself, and then opened, proved from, exported and
verified. Erasure has a store of its own, with as many facts.
"""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import count
from typing import Any

from bench import workload
from bench.figure import FLOOR, OURS, Figure, Must, at_least, at_most, within
from bench.lab import Lab, Section
from bench.peers.ciris import ABSENT, APART, NAME, Ciris
from bench.timing import Spread

COST = "signed one-datom transaction, FULL"
RATE = "signed transactions, 8 threads, FULL"
AGAINST = "signed transactions, 8 threads, beside ciris-persist"
VERIFY, CHECKED = "offline verification, log and tree", "offline verification, authors too"
MEMORY = "memory of the verification, end"
OPEN, PROOF = "opening the long log, keys and checkpoint", "inclusion proof of the long log"
SIZE = "size of an inclusion proof"
ERASE, FOUND = "erasing one subject", "erased words in the files"

THREADS = 8
UNSIGNED, DIRECTORY, KEYLESS = "ours, unsigned", "ours, key directory", "ours, without keys"
EARLY, WITH_DATOM, LARGEST = "ours, halfway", "ours, with a datom", "ours, largest"
LONG = (VERIFY, CHECKED, MEMORY, OPEN, PROOF, SIZE)


def _cost() -> Must:
    """Both with keys in memory and with a key directory, which is written to once a second."""

    def test(figure: Figure) -> bool | None:
        base, found = figure.value(UNSIGNED), [figure.value(OURS), figure.value(DIRECTORY)]
        return all(value is not None and base and value <= 1.3 * base for value in found)

    return Must("≤ 1.3× unsigned, also with a key directory", test)


def _commits(lab: Lab) -> None:
    from bench.ours_audit import keys  # noqa: PLC0415  # floors run without the library

    crowd = workload.people(lab.scale.people)
    directory = lab.file().with_suffix(".keys")
    keys(directory)
    ways: dict[str, dict[str, Any]] = {
        OURS: {"keys": keys()},
        DIRECTORY: {"keys": directory},
        UNSIGNED: {},
    }
    contenders = []
    for name, options in ways.items():
        (store,) = lab.ours_on_file(**options)
        store.load_people(crowd)
        stage = store.committing(lab.scale.durable, count(1))
        stage.name = name
        contenders.append(stage)
    note = "the unsigned store hashes as well: the log, and its tree, are part of every commit"
    lab.measure(COST, contenders, _cost(), base=UNSIGNED, note=note)
    lab.close_opened()


def _threads(lab: Lab) -> None:
    from bench.ours_audit import keys, signing  # noqa: PLC0415  # as above

    times = lab.scale.signed

    def racing(name: str = OURS, **options: Any) -> Any:
        return signing(lab.ours_on_file(**options)[0], THREADS, times, name=name)

    if lab.wants(RATE):
        ours, plain = racing(keys=keys()), racing(UNSIGNED)
        must = at_least(8_000, "/s")
        lab.measure(RATE, [ours, plain], must, base=UNSIGNED, unit="/s")
    if lab.wants(AGAINST):
        try:
            peer = lab.open(Ciris(lab.file()))
        except ImportError:
            lab.skip(NAME, ABSENT)
            return
        contenders = [racing(keys=keys()), *(peer.signing(THREADS, times, apart=x) for x in (0, 1))]
        note = (
            "ciris-persist writes with synchronous = NORMAL and lets nobody change that, so its"
            " commits are not synced and ours are"
        )
        lab.measure(AGAINST, contenders, _faster(), base=NAME, unit="/s", note=note)
    lab.close_opened()


def _faster() -> Must:
    """Three times the faster of its two ways."""

    def test(figure: Figure) -> bool | None:
        peers = [figure.value(name) for name in (NAME, APART)]
        if figure.ours is None or None in peers:
            return None
        return all(figure.ours >= 3 * peer for peer in peers if peer is not None)

    return Must("≥ 3× ciris-persist", test)


def _long(lab: Lab) -> None:
    from bench.ours_audit import LongLog, Proofs  # noqa: PLC0415  # as above

    log = LongLog(lab.file().with_suffix(".long"), lab.scale.logged)
    task = lab.progress.add_task("  writing the long log", total=log.size)
    log.build(lambda done: lab.progress.update(task, completed=done))
    lab.progress.remove_task(task)
    lab.facts["the long log"] = (
        f"{log.size} signed transactions of one datom, {log.bytes / 2**20:.0f} MiB,"
        f" written at {log.rate:.0f} /s"
    )
    lab.measure(
        OPEN,
        [log.opening(), log.opening(keys=False, name=KEYLESS)],
        at_most(50, "ms"),
        base=KEYLESS,
        slow=True,
    )
    if lab.wants(PROOF) or lab.wants(SIZE):
        proofs = lab.open(Proofs(log, lab.scale.proved))
        lab.measure(PROOF, [proofs.proving()], at_most(1, "ms"))
        plain, full = proofs.sizes(datom=False), proofs.sizes(datom=True)
        sizes = {OURS: max(plain) / 1000, WITH_DATOM: max(full) / 1000}
        lab.amount(SIZE, "KB", sizes, at_most(2, "KB"), base=WITH_DATOM)
        lab.close_opened()
    if any(lab.wants(figure) for figure in (VERIFY, CHECKED, MEMORY)):
        log.export()
        _verified(lab, log)


def _verified(lab: Lab, log: Any) -> None:
    readings = {who: _run(log, who) for who in ("floor", "leaves", "signed")}
    ends = [(found[-1]["entries"], found[-1]["root"]) for found in readings.values()]
    if len(set(ends)) != 1 or ends[0][0] != log.size:
        raise AssertionError(f"{VERIFY}: those who read the log differ: {ends}")
    rates = {
        who: Spread.of([one["entries"] / one["seconds"] for one in windows[:-1]])
        for who, windows in readings.items()
    }
    if lab.wants(VERIFY):
        values = {OURS: rates["leaves"], FLOOR: rates["floor"]}
        note = (
            "every entry is read and held against the one before it, with its place, keys and tree;"
            " the signatures on keys and checkpoint are checked, those of authors are not."
            " The floor hashes the tree and looks at nothing"
        )
        must = at_least(50_000, "/s")
        lab.record(Figure(SECTION.title, VERIFY, "leaves/s", values, must, note=note))
    if lab.wants(CHECKED):
        (bare,) = _run(log, "signatures")
        values = {OURS: rates["signed"], FLOOR: Spread.of([bare["rate"]])}
        note = "the floor is bare Ed25519 by `cryptography` on all cores, and reads no log"
        lab.record(Figure(SECTION.title, CHECKED, "leaves/s", values, note=note))
    signed = [window["memory"] / 2**20 for window in readings["signed"][:-1]]
    leaves = [window["memory"] / 2**20 for window in readings["leaves"][:-1]]
    worse = max(signed, leaves, key=lambda found: found[-1] / found[len(found) // 2 - 1])
    memory = {OURS: worse[-1], EARLY: worse[len(worse) // 2 - 1]}
    lab.amount(MEMORY, "MiB", memory, within(1.1, "halfway"), base=EARLY)


def _run(log: Any, who: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "bench.verifying", who, log.exported, log.vkey, log.size]
    words = [str(part) for part in command]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{VERIFY}, {who}: {done.stderr.strip().splitlines()[-1]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def _erasing(lab: Lab) -> None:
    from bench.ours_audit import Subjects  # noqa: PLC0415  # as above

    subjects = lab.open(Subjects(lab.file(), lab.scale.subjects, lab.scale.subject))
    note = f"{lab.scale.subject} facts of {lab.scale.subjects * lab.scale.subject}, files shredded"
    lab.measure(ERASE, [subjects.erasing()], at_most(2_000, "ms"), slow=True, note=note)
    remains = "; ".join(sorted(subjects.remains))
    if remains:
        raise AssertionError(f"{ERASE}: traces remain: {remains}")
    lab.amount(FOUND, "places", {OURS: float(subjects.found)}, at_most(0, "places"))
    lab.close_opened()


def measure(lab: Lab) -> None:
    if lab.ours is None:
        return
    if lab.wants(COST):
        _commits(lab)
    if lab.wants(RATE) or lab.wants(AGAINST):
        _threads(lab)
    if any(lab.wants(figure) for figure in LONG):
        _long(lab)
    if lab.wants(ERASE) or lab.wants(FOUND):
        _erasing(lab)


SECTION = Section(
    "audit",
    "The signed log",
    (COST, RATE, AGAINST, *LONG, ERASE, FOUND),
    measure,
)
