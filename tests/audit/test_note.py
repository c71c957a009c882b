"""Notes, checkpoints and cosignatures: read as others write them, and in one spelling only."""

from __future__ import annotations

import itertools
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from persistence.audit import note
from persistence.audit.note import Checkpoint, NoteError, SignedNote, VerifierKey
from persistence.audit.signature import public_bytes
from persistence.audit.vkey import COSIGNATURE

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parent.parent / "vectors" / "notes.json").read_text("utf-8")
)
LOG, WITNESS = (
    Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed)) for seed in VECTORS["seeds"].values()
)
ORIGIN, WITNESS_NAME = VECTORS["seeds"]
LOG_KEY = VerifierKey(ORIGIN, public_bytes(LOG))
WITNESS_KEY = VerifierKey(WITNESS_NAME, public_bytes(WITNESS), COSIGNATURE)
SEVEN = Checkpoint(ORIGIN, 7, sha256(b"seven").digest())

accepted = pytest.mark.parametrize("case", VECTORS["notes"], ids=lambda case: case["name"])
checkpoints = pytest.mark.parametrize(
    "case", [case for case in VECTORS["notes"] if "origin" in case], ids=lambda case: case["name"]
)
lines = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="".join(map(chr, range(32)))),
    min_size=1,
)
names = st.text(min_size=1).filter(
    lambda name: (
        "+" not in name
        and not any(c.isspace() or c < " " or "\ud800" <= c <= "\udfff" for c in name)
    )
)
roots = st.binary(min_size=32, max_size=32)


def keys_of(case: dict[str, Any]) -> list[VerifierKey]:
    return [VerifierKey.parse(text) for text in case["keys"]]


@pytest.mark.parametrize("text", VECTORS["verifier_keys"])
def test_keys_of_others_are_read_and_written_back(text: str) -> None:
    assert VerifierKey.parse(text).text == text


@pytest.mark.parametrize(("text", "says"), VECTORS["refused_verifier_keys"])
def test_another_spelling_of_a_key_is_refused(text: str, says: str) -> None:
    with pytest.raises(NoteError, match=says.replace("+", r"\+")):
        VerifierKey.parse(text)


@accepted
def test_a_note_is_verified_and_written_back(case: dict[str, Any]) -> None:
    parsed = SignedNote.parse(case["note"].encode())
    assert parsed == SignedNote.parse(case["note"])
    assert parsed.text == case["note"]
    assert parsed.verified(keys_of(case)) == keys_of(case)


@checkpoints
def test_a_checkpoint_is_opened_with_its_witnesses(case: dict[str, Any]) -> None:
    found = note.open_checkpoint(case["note"], keys_of(case))
    assert found == Checkpoint(case["origin"], case["size"], bytes.fromhex(case["root"]))
    assert found.body == SignedNote.parse(case["note"]).body
    witnesses = {VerifierKey.parse(text): time for text, time in case.get("witnesses", {}).items()}
    assert dict(note.cosignatures(case["note"], witnesses)) == witnesses
    assert note.open_checkpoint(case["note"], [*keys_of(case), *witnesses]) == found


@checkpoints
def test_every_changed_byte_is_noticed(case: dict[str, Any]) -> None:
    data = case["note"].encode()
    keys = [VerifierKey.parse(text) for text in [*case["keys"], *case.get("witnesses", {})]]
    known = {(key.name, key.id) for key in keys}
    genuine = {
        line for line in SignedNote.parse(data).signatures if (line.name, line.key_id) in known
    }
    for where in range(len(data)):
        changed = data[:where] + bytes([data[where] ^ 1]) + data[where + 1 :]
        try:
            note.open_checkpoint(changed, keys)
        except NoteError:
            continue
        # What may change is a line that says to be of somebody unknown, or now does.
        after = SignedNote.parse(changed)
        assert after.body == SignedNote.parse(data).body
        left = {line for line in after.signatures if (line.name, line.key_id) in known}
        assert left <= genuine


@pytest.mark.parametrize("case", VECTORS["refused"], ids=lambda case: case["name"])
def test_what_is_no_checkpoint_of_the_log_is_refused(case: dict[str, str]) -> None:
    with pytest.raises(NoteError) as refused:
        note.open_checkpoint(case["note"], [LOG_KEY])
    assert case["says"] in str(refused.value)


def test_our_notes_are_pinned() -> None:
    mine = {case["name"]: case["note"] for case in VECTORS["notes"] if case["by"] == "us"}
    signed = note.sign(SEVEN.body, ORIGIN, LOG)
    assert signed == mine["a checkpoint of ours"]
    line = note.cosign(SEVEN.body, WITNESS_NAME, WITNESS, 1_800_000_000)
    assert note.attach(signed, [line]) == mine["the same, cosigned"]


def test_a_witness_does_not_stand_in_for_the_log() -> None:
    cosigned = note.attach(
        note.sign(SEVEN.body, ORIGIN, Ed25519PrivateKey.generate()),
        note.cosign(SEVEN.body, WITNESS_NAME, WITNESS, 1),
    )
    with pytest.raises(NoteError, match="not signed by a known key of that log"):
        note.open_checkpoint(cosigned, [LOG_KEY, WITNESS_KEY])


def test_the_log_key_is_no_witness_and_its_line_no_cosignature() -> None:
    assert note.cosignatures(note.sign(SEVEN.body, ORIGIN, LOG), [LOG_KEY]) == []


def test_a_wrong_cosignature_of_a_known_witness_spoils_the_note() -> None:
    other = Checkpoint(ORIGIN, 8, bytes(32)).body
    cosigned = note.attach(
        note.sign(SEVEN.body, ORIGIN, LOG), note.cosign(other, WITNESS_NAME, WITNESS, 1)
    )
    assert note.open_checkpoint(cosigned, [LOG_KEY]) == SEVEN
    for use in (note.open_checkpoint, note.cosignatures):
        with pytest.raises(NoteError, match=r"witness\.example\.com does not hold"):
            use(cosigned, [LOG_KEY, WITNESS_KEY])


def test_the_time_of_a_cosignature_is_signed() -> None:
    (line,) = note.signature_lines(note.cosign(SEVEN.body, WITNESS_NAME, WITNESS, 5))
    later = note.Signature(line.name, line.key_id, (6).to_bytes(8, "big") + line.data[8:])
    signed = note.sign(SEVEN.body, ORIGIN, LOG)
    assert note.cosignatures(note.attach(signed, line.line), [WITNESS_KEY]) == [(WITNESS_KEY, 5)]
    with pytest.raises(NoteError, match="does not hold"):
        note.cosignatures(note.attach(signed, later.line), [WITNESS_KEY])


def test_a_witness_that_cosigns_again_takes_its_own_place() -> None:
    signed = note.sign(SEVEN.body, ORIGIN, LOG)
    for time_s in (5, 6):
        signed = note.attach(signed, note.cosign(SEVEN.body, WITNESS_NAME, WITNESS, time_s))
    assert note.cosignatures(signed, [WITNESS_KEY]) == [(WITNESS_KEY, 6)]
    assert len(SignedNote.parse(signed).signatures) == 2


@pytest.mark.parametrize("time_s", [-1, 2**63])
def test_a_time_beyond_the_range_is_refused(time_s: int) -> None:
    with pytest.raises(NoteError, match="no time"):
        note.cosign(SEVEN.body, WITNESS_NAME, WITNESS, time_s)
    if time_s > 0:
        blob = time_s.to_bytes(8, "big") + bytes(64)
        line = note.Signature(WITNESS_NAME, WITNESS_KEY.id, blob).line
        with pytest.raises(NoteError, match=r"not below 2\^63"):
            note.cosignatures(note.attach(note.sign(SEVEN.body, ORIGIN, LOG), line), [WITNESS_KEY])


def test_one_key_is_another_key_as_a_witness() -> None:
    as_witness = VerifierKey(ORIGIN, LOG_KEY.public, COSIGNATURE)
    assert as_witness.id != LOG_KEY.id
    with pytest.raises(NoteError, match="no known key"):
        note.open_checkpoint(note.sign(SEVEN.body, ORIGIN, LOG), [as_witness])


def test_a_log_that_signs_under_another_name_is_opened_by_its_origin() -> None:
    signed = note.sign(SEVEN.body, "key.example.com", LOG)
    key = VerifierKey("key.example.com", public_bytes(LOG))
    assert note.open_checkpoint(signed, [key], origin=ORIGIN) == SEVEN
    with pytest.raises(NoteError, match="known key of that log"):
        note.open_checkpoint(signed, [key])
    with pytest.raises(NoteError, match=r"not of example\.com/other"):
        note.open_checkpoint(signed, [key], origin="example.com/other")


def test_keys_that_share_name_and_id_are_refused() -> None:
    # An id has 32 bits only, so two such keys are soon found.
    seen: dict[bytes, bytes] = {}
    for number in itertools.count():
        public = number.to_bytes(32, "big")
        other = seen.setdefault(sha256(b"n\n\x01" + public).digest()[:4], public)
        if other != public:
            break
    one, two = VerifierKey("n", public), VerifierKey("n", other)
    assert one.id == two.id
    with pytest.raises(NoteError, match="two known keys"):
        SignedNote.parse(note.sign(SEVEN.body, ORIGIN, LOG)).verified([one, two])


def test_limits_are_met_before_the_text_is_read() -> None:
    with pytest.raises(NoteError, match="at most 1048576 bytes") as refused:
        SignedNote.parse(b"\xff" * (note.NOTE_BYTES + 1))
    assert refused.value.data == {"allowed": note.NOTE_BYTES, "found": note.NOTE_BYTES + 1}
    with pytest.raises(NoteError, match="at most 1048576 bytes"):
        SignedNote.parse("—" * note.NOTE_BYTES)
    with pytest.raises(NoteError, match="at most 1048576 bytes"):
        note.sign("x" * note.NOTE_BYTES + "\n", ORIGIN, LOG)


def test_a_hundred_signatures_are_read_and_one_more_is_not() -> None:
    signed = note.sign(SEVEN.body, ORIGIN, LOG)
    line = SignedNote.parse(signed).signatures[0]
    many = [note.Signature(f"n{i}", line.key_id, line.data).line for i in range(100)]
    assert note.open_checkpoint(note.attach(signed, many[:99]), [LOG_KEY]) == SEVEN
    with pytest.raises(NoteError, match="at most 100 signatures, not 101"):
        note.attach(signed, many)
    with pytest.raises(NoteError, match="at most 100 signatures, not 101"):
        SignedNote.parse(signed + "".join(many))


def test_the_last_blank_line_divides_and_signatures_within_the_text_do_not_count() -> None:
    inner = note.sign(SEVEN.body, ORIGIN, LOG)
    outer = note.sign(inner, "outer.example", WITNESS)
    assert SignedNote.parse(outer).body == inner
    with pytest.raises(NoteError, match="no known key"):
        SignedNote.parse(outer).verified([LOG_KEY])


@pytest.mark.parametrize("body", ["", "no newline", "a\tb\n", "lone \ud800\n"])
def test_a_text_that_no_note_can_hold_is_not_signed(body: str) -> None:
    with pytest.raises(NoteError):
        note.sign(body, ORIGIN, LOG)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u2003b", "a\x00", "a\ud800"])
def test_a_name_that_no_key_can_have_signs_nothing(name: str) -> None:
    with pytest.raises(NoteError, match="no name of a key"):
        note.sign("text\n", name, LOG)
    with pytest.raises(NoteError, match="no name of a key"):
        note.cosign(SEVEN.body, name, LOG, 1)


@given(names, roots, st.sampled_from([0x01, 0x04]))
def test_keys_come_back(name: str, public: bytes, kind: int) -> None:
    key = VerifierKey(name, public, kind)
    assert VerifierKey.parse(key.text) == key


@given(lines, st.integers(1, 2**63 - 1), roots, st.lists(lines, max_size=3))
def test_checkpoints_come_back(origin: str, size: int, root: bytes, extensions: list[str]) -> None:
    checkpoint = Checkpoint(origin, size, root, tuple(extensions))
    assert Checkpoint.parse(checkpoint.body) == checkpoint
    signed = note.sign(checkpoint.body, "key.example", LOG)
    key = VerifierKey("key.example", public_bytes(LOG))
    assert note.open_checkpoint(signed.encode(), [key], origin=origin) == checkpoint


@given(st.one_of(st.binary(), st.text(), lines))
def test_anything_else_is_refused_as_a_note(data: bytes | str) -> None:
    for read in (SignedNote.parse, lambda text: note.open_checkpoint(text, [LOG_KEY])):
        with pytest.raises(NoteError):
            read(data)


@given(st.text(alphabet="—abc/+= \n09AZ"))
def test_parsers_refuse_or_write_back_what_they_read(text: str) -> None:
    for read, write in (
        (SignedNote.parse, lambda found: found.text),
        (Checkpoint.parse, lambda found: found.body),
        (VerifierKey.parse, lambda found: found.text),
        (note.signature_lines, lambda found: "".join(line.line for line in found)),
    ):
        try:
            found: Any = read(text)
        except NoteError:
            continue
        assert write(found) == text


@given(st.data())
def test_a_note_with_pieces_changed_is_refused_or_says_the_same(data: st.DataObject) -> None:
    whole = note.attach(
        note.sign(SEVEN.body, ORIGIN, LOG), note.cosign(SEVEN.body, WITNESS_NAME, WITNESS, 9)
    )
    start = data.draw(st.integers(0, len(whole)))
    stop = data.draw(st.integers(start, min(len(whole), start + 9)))
    changed = whole[:start] + data.draw(st.text(max_size=9)) + whole[stop:]
    try:
        found = note.open_checkpoint(changed, [LOG_KEY])
        note.cosignatures(changed, [WITNESS_KEY])
    except NoteError:
        return
    assert found == SEVEN
