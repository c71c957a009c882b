"""Verifies a `.tlog-proof`: that an entry, and perhaps one of its datoms, is in a log.

Such a file stands for itself, so what only the other entries say cannot be seen in it: whether the
key of the author was in force. What it does prove is said in words. Imports the standard library,
`cryptography` through `signature`, and its neighbours only.
"""

from __future__ import annotations

from collections.abc import Sequence

from persistence.audit import signature
from persistence.audit.cbor import CborError, decode_datom
from persistence.audit.entries import Entry, EntryError, read_entry
from persistence.audit.merkle import ProofError, check_inclusion, leaf_hash
from persistence.audit.note import Checkpoint, NoteError, cosignatures, open_checkpoint
from persistence.audit.offline import log_key
from persistence.audit.proof import Evidence, Proof
from persistence.audit.report import Findings, Report
from persistence.audit.shown import show, show_datom
from persistence.audit.signers import log_id, signed_message
from persistence.audit.terms import Instant
from persistence.audit.vkey import COSIGNATURE, VerifierKey

_STANDING = (
    "whether the author's key was in force at this entry is not in a proof; an export shows it"
)


def verify_proof(
    text: str | bytes,
    vkey: str | VerifierKey,
    *,
    signer: str | VerifierKey | None = None,
    witnesses: Sequence[str | VerifierKey] = (),
    need: int = 0,
) -> Report:
    """What is wrong with the proof *text*, and what it says when nothing is.

    *vkey* is the verifier key of the log, which is its first one; *signer* the one that signed the
    checkpoint, when the log's key was rotated since. At least *need* of *witnesses* must have
    cosigned.

    Raises:
        NoteError: a key cannot be read or is of the wrong kind.
        ValueError: more cosignatures are needed than there are witnesses.
    """
    key = log_key(vkey)
    current = key if signer is None else log_key(signer)
    others = [_witness(one) for one in witnesses]
    known = len({one.public for one in others})
    if not 0 <= need <= known:
        raise ValueError(f"{need} cosignatures are needed, of {known} witnesses")
    findings = Findings()
    says: dict[str, str | int] = {}
    notes: list[str] = []
    try:
        proof = Proof.parse(text)
    except ProofError as error:
        return _refused("proof", "a .tlog-proof", str(error))
    checkpoint = _checkpoint(proof, key, current, findings)
    _cosigned(proof, others, need, findings, says)
    evidence = _evidence(proof, findings)
    if checkpoint is not None:
        says.update(origin=checkpoint.origin, size=checkpoint.size)
    if evidence is None:
        return Report(findings.ordered(), {}, says)
    if checkpoint is not None:
        _included(proof, checkpoint, leaf_hash(evidence.entry), findings)
    try:
        entry = read_entry(evidence.entry)
    except EntryError as error:
        findings.add(0, "entry", "the canonical bytes of an entry", str(error))
        return Report(findings.ordered(), {}, says)
    says.update(_told(proof.index, entry))
    notes += _authored(key, entry, findings)
    notes += _datom(evidence, entry, findings, says)
    return Report(findings.ordered(), {}, says, tuple(notes))


def _refused(where: str, expected: str, found: str) -> Report:
    findings = Findings()
    findings.add(0, where, expected, found)
    return Report(findings.ordered())


def _witness(vkey: str | VerifierKey) -> VerifierKey:
    key = VerifierKey.parse(vkey.strip()) if isinstance(vkey, str) else vkey
    if key.kind != COSIGNATURE:
        raise NoteError(f"the key of {key.name} is not that of a witness; it cosigns nothing")
    return key


def _checkpoint(
    proof: Proof, key: VerifierKey, signer: VerifierKey, findings: Findings
) -> Checkpoint | None:
    try:
        return open_checkpoint(proof.checkpoint, [signer], origin=key.name)
    except NoteError as error:
        findings.add(0, "checkpoint", f"one of {key.name}, signed by its key", error.message)
    return None


def _cosigned(
    proof: Proof,
    witnesses: list[VerifierKey],
    need: int,
    findings: Findings,
    says: dict[str, str | int],
) -> None:
    if not witnesses:
        return
    try:
        found = dict(cosignatures(proof.checkpoint, set(witnesses)))
    except NoteError as error:
        findings.add(0, "cosignatures", f"{need} of the given witnesses", error.message)
        return
    if len({key.public for key in found}) < need:
        names = ", ".join(key.name for key in found) or "none"
        findings.add(0, "cosignatures", f"{need} of the given witnesses", names)
    if found:
        told = (f"{key.name} at {_time(time * 1_000_000)}" for key, time in found.items())
        says["cosigned"] = "; ".join(told)


def _evidence(proof: Proof, findings: Findings) -> Evidence | None:
    if proof.extra is None:
        findings.add(0, "evidence", "the entry that is proved", "none: the proof has no extra data")
        return None
    try:
        return Evidence.parse(proof.extra)
    except ProofError as error:
        findings.add(0, "evidence", "the entry that is proved", str(error))
    return None


def _included(proof: Proof, checkpoint: Checkpoint, leaf: bytes, findings: Findings) -> None:
    try:
        check_inclusion(leaf, proof.index, checkpoint.size, proof.path, checkpoint.root)
    except ProofError as error:
        where = f"entry {proof.index}, inclusion in {checkpoint.size}"
        findings.add(0, where, str(error.expected), f"{error.found}: {error}")


def _told(index: int, entry: Entry) -> dict[str, str | int]:
    told: dict[str, str | int] = {
        "index": index,
        "transaction": entry.id.hex(),
        "time": _time(entry.time),
        "author": show(entry.author),
        "branch": entry.branch,
        "datoms": entry.datoms,
    }
    if entry.event is not None:
        told["event"] = show(entry.event)
    if entry.public is not None:
        told["signed by"] = entry.public.hex()
    return told


def _authored(key: VerifierKey, entry: Entry, findings: Findings) -> list[str]:
    if entry.public is None or entry.signature is None:
        return ["the entry bears no signature of its author; only the log vouches for it"]
    message = signed_message(log_id(key.name, key.public), entry.body)
    reason = signature.problem(entry.public, entry.signature, message)
    if reason is not None:
        expected = f"a signature in the log that began with {key.text}"
        findings.add(0, "entry, signature", expected, reason)
        return []
    return [_STANDING]


def _datom(
    evidence: Evidence, entry: Entry, findings: Findings, says: dict[str, str | int]
) -> list[str]:
    datom, index, count = evidence.datom, evidence.datom_index, evidence.datoms
    if datom is None or index is None or count is None:
        return ["the proof is of the transaction as a whole, and of none of its datoms"]
    if count != entry.datoms:
        findings.add(0, "datom", f"one of {entry.datoms}", f"one of {count}")
    try:
        check_inclusion(leaf_hash(datom), index, count, evidence.datom_path, entry.datoms_root)
        says["datom"] = show_datom(decode_datom(datom))
    except ProofError as error:
        findings.add(0, "datom, inclusion", str(error.expected), f"{error.found}: {error}")
    except CborError as error:
        findings.add(0, "datom", "the canonical bytes of a datom", str(error))
    return []


def _time(micros: int) -> str:
    return show(Instant(micros))
