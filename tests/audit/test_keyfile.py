"""Key files: for their owner alone, complete or refused, and silent about what they hold."""

from __future__ import annotations

import base64
import copy
import os
import pickle
import stat
import traceback
from collections.abc import Callable
from pathlib import Path

import cryptography_vectors
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from persistence.audit import keyfile, pkcs8
from persistence.audit.keyfile import KeyFile, Keyring, generate, import_pem, load, peek, save
from persistence.audit.note import Checkpoint, VerifierKey, cosign, cosignatures, sign
from persistence.audit.signature import problem
from persistence.errors import KeyFileError, PersistenceError

SEED = bytes(range(32))
PLAIN = """persistence-key/v1
role: author
name: Ada Lovelace
public: 03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8

-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f
-----END PRIVATE KEY-----
"""
ada = keyfile.of("author", "Ada Lovelace", Ed25519PrivateKey.from_private_bytes(SEED))


@pytest.fixture(scope="session")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ada's key under a passphrase; scrypt takes its time, so once for all tests."""
    return save(tmp_path_factory.mktemp("locked"), ada, "open sesame")


def other_file(
    path: Path, content: str | bytes, *, mode: int = 0o600, name: str = "other.key"
) -> Path:
    file = path / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    file.chmod(mode)
    return file


def refused(path: Path, says: str, *, passphrase: str | None = None) -> KeyFileError:
    """The refusal of the file, which names it and nothing of its content."""
    with pytest.raises(KeyFileError, match=says) as caught:
        load(path, passphrase)
    error = caught.value
    said = "".join(traceback.format_exception(error)) + repr(error.data) + str(error.hint)
    assert error.data["path"] == str(path) and str(path) in str(error)
    assert SEED.hex() not in said and base64.b64encode(SEED[3:24]).decode() not in said
    assert "open sesame" not in said
    return error


def test_a_key_comes_back_and_signs(tmp_path: Path) -> None:
    key = load(save(tmp_path, ada))
    assert key == ada and key.opened
    assert problem(ada.public, key.sign(b"tea"), b"tea") is None


def test_the_file_is_pinned(tmp_path: Path) -> None:
    path = save(tmp_path, ada)
    assert path.name == "Ada%20Lovelace.key"
    assert path.read_text() == PLAIN


def test_file_and_directory_are_their_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        path = save(tmp_path / "keys", ada)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o611])
def test_a_file_that_others_have_access_to_is_refused(tmp_path: Path, mode: int) -> None:
    path = other_file(tmp_path, PLAIN, mode=mode)
    assert refused(path, f"mode {mode:o}").hint == f"chmod 600 {path}"
    path.chmod(0o400)
    assert load(path) == ada


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o733])
def test_a_directory_that_others_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    keys = tmp_path / "keys"
    save(keys, ada)
    keys.chmod(mode)
    uses: list[Callable[[], object]] = [lambda: Keyring.load(keys), lambda: save(keys, ada)]
    for use in uses:
        with pytest.raises(KeyFileError, match="others than its owner can write") as caught:
            use()
        assert caught.value.hint == f"chmod 700 {keys}"
    keys.chmod(0o755)
    assert Keyring.load(keys).keys == (ada,)


def test_a_link_counts_as_the_file_it_leads_to(tmp_path: Path) -> None:
    path = other_file(tmp_path, PLAIN, mode=0o644)
    link = tmp_path / "link.key"
    link.symlink_to(path)
    refused(link, "mode 644")
    path.chmod(0o600)
    assert load(link) == ada


def test_saving_does_not_follow_a_link_nor_write_over_a_file(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    (tmp_path / "bob.key").symlink_to(target)
    with pytest.raises(KeyFileError):  # what is at the name is no key, so it is left alone
        save(tmp_path, generate("author", "bob"))
    assert not target.exists()


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe", 0o600)
    refused(tmp_path / "none", "no such file")
    refused(tmp_path / "directory", "it is no file")
    refused(tmp_path / "pipe", "it is no file")  # and does not wait for a writer
    with pytest.raises(KeyFileError, match="no such file"):
        Keyring.load(tmp_path / "nowhere")
    with pytest.raises(KeyFileError, match="not a directory"):
        Keyring.load(other_file(tmp_path, PLAIN))


def test_a_passphrase_is_wanted_and_has_to_be_the_right_one(locked: Path) -> None:
    assert b"ENCRYPTED" in locked.read_bytes()
    assert load(locked, "open sesame") == ada
    assert load(locked, b"open sesame") == ada
    assert refused(locked, "no passphrase was given").hint is not None
    refused(locked, "passphrase is not the one", passphrase="open says me")
    refused(locked, "passphrase is empty", passphrase="")


def test_a_passphrase_is_asked_for_once_and_only_if_wanted(locked: Path, tmp_path: Path) -> None:
    asked = []

    def ask() -> str:
        asked.append(1)
        return "open sesame"

    assert load(other_file(tmp_path, PLAIN), ask) == ada and not asked
    for name in ("bob.key", "eve.key"):
        other_file(tmp_path, locked.read_bytes(), name=name)
    assert Keyring.load(tmp_path, ask).keys == (ada, ada, ada)
    assert asked == [1]


def test_an_encrypted_file_is_what_others_read_too(locked: Path) -> None:
    pem = locked.read_bytes().partition(b"\n\n")[2]
    key = load_pem_private_key(pem, b"open sesame")
    assert isinstance(key, Ed25519PrivateKey) and key.private_bytes_raw() == SEED
    assert bytes.fromhex("2b06010401da47040b") in base64.b64decode(b"".join(pem.split(b"\n")[1:-2]))


def test_a_key_is_looked_at_without_its_passphrase(locked: Path) -> None:
    key = peek(locked)
    assert key == ada and not key.opened
    with pytest.raises(KeyFileError, match="not opened"):
        key.sign(b"tea")
    with pytest.raises(KeyFileError, match="not opened"):
        save(locked.parent, key)


@pytest.mark.parametrize("length", [0, 1, 30, 120, 150, 200, len(PLAIN) - 12])
def test_a_truncated_file_is_refused(tmp_path: Path, length: int) -> None:
    refused(other_file(tmp_path, PLAIN[:length]), "no key file|no private key in PEM")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("v1", "v2"), "no key file"),
        (("role: author", "role: king"), "not for 'king'"),
        (("role: author", "role: log"), "no name of a key"),
        (("name: Ada Lovelace", "name: "), "no key file"),
        (("name: Ada Lovelace", "name:  "), "no name of a key"),
        (("name: Ada Lovelace", "name: Ada\x1b[2J"), "no name of a key"),
        (("name: Ada Lovelace\n", ""), "no key file"),
        (("public: 03", "public: 04"), "does not belong to its public key"),
        (("public: 03a1", "public: 03A1"), "no key file"),
        (("MC4C", "MC4D"), "no private key in PEM"),
        (("BEGIN PRIVATE", "BEGIN PUBLIC"), "no private key in PEM"),
        (("-----BEGIN", "x" * keyfile.FILE_BYTES + "-----BEGIN"), "no key file"),
    ],
)
def test_a_changed_file_is_refused(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    refused(other_file(tmp_path, PLAIN.replace(*change)), says)


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    pem = X25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    head = PLAIN.partition("-----")[0].encode()
    refused(other_file(tmp_path, head + pem), "of the kind X25519, not of Ed25519")


def test_a_file_that_would_take_the_memory_or_the_day_is_refused(locked: Path) -> None:
    lines = locked.read_bytes().partition(b"\n\n")[2].split(b"\n")
    der = base64.b64decode(b"".join(lines[1:-2]))
    cost = bytes.fromhex("02024000020108020105")  # N = 2^14, r = 8, p = 5
    assert cost in der
    for dear in ("02024000020108020177", "02027000020178020105", "02024000020178020178"):
        text = base64.encodebytes(der.replace(cost, bytes.fromhex(dear)))
        pem = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n%b-----END ENCRYPTED PRIVATE KEY-----\n"
        with pytest.raises(ValueError, match="more memory or time than is allowed"):
            pkcs8.read(pem % text, b"open sesame")


def test_no_private_key_is_shown_copied_or_pickled() -> None:
    ring = Keyring.memory(ada)
    for shown in (repr(ada), str(ada), repr(ring), f"{ring}"):
        assert SEED.hex() not in shown and "Private" not in shown
    for hidden in (ada, ring, [ada]):
        for leave in (pickle.dumps, copy.deepcopy):
            with pytest.raises(TypeError, match="not pickled or copied"):
                leave(hidden)


def test_a_key_in_another_form_is_imported() -> None:
    private = Ed25519PrivateKey.from_private_bytes(SEED)

    def pem(form: PrivateFormat, encryption: BestAvailableEncryption | NoEncryption) -> bytes:
        return private.private_bytes(Encoding.PEM, form, encryption)

    plain, under = NoEncryption(), BestAvailableEncryption(b"tea")
    for data, passphrase in (
        (pem(PrivateFormat.PKCS8, plain), None),
        (pem(PrivateFormat.PKCS8, under), "tea"),
        (pem(PrivateFormat.PKCS8, under), lambda: "tea"),
        (pem(PrivateFormat.OpenSSH, plain), None),
        (base64.b64encode(SEED), None),
        (base64.b64encode(SEED) + b"\n", None),
    ):
        assert import_pem(data, "author", "Ada Lovelace", passphrase) == ada


@pytest.mark.parametrize(
    "file", ["PKCS8/ed25519-scrypt.pem", "Ed25519/ed25519-pkcs8.pem", "OpenSSH/ed25519-nopsw.key"]
)
def test_keys_that_others_wrote_are_imported(file: str) -> None:
    with cryptography_vectors.open_vector_file(f"asymmetric/{file}", "rb") as vector:
        data = vector.read()
    passphrase = "hunter42" if "scrypt" in file else None
    key = import_pem(data, "log", "example.com/log", passphrase)
    assert problem(key.public, key.sign(b"tea"), b"tea") is None


@pytest.mark.parametrize(
    ("data", "passphrase", "says"),
    [
        (b"", None, "neither PEM nor a seed"),
        (base64.b64encode(SEED[:31]), None, "neither PEM nor a seed"),
        (SEED, None, "neither PEM nor a seed"),
        (b"-----BEGIN CERTIFICATE-----\n", None, "no private key in PEM"),
        (PLAIN.encode(), "tea", "is not encrypted, but a passphrase was given"),
        (b"x" * 20_000, None, "at most 16384 bytes"),
    ],
)
def test_what_is_no_key_is_not_imported(data: bytes, passphrase: str | None, says: str) -> None:
    with pytest.raises(KeyFileError, match=says):
        import_pem(data, "log", "example.com/log", passphrase)


def test_the_public_half_is_handed_around_as_a_verifier_key() -> None:
    log, witness = generate("log", "example.com/log"), generate("witness", "w.example")
    assert VerifierKey.parse(log.vkey) == log.verifier and log.verifier.kind == 0x01
    assert VerifierKey.parse(witness.vkey) == witness.verifier and witness.verifier.kind == 0x04
    assert log.private and witness.private
    body = Checkpoint("example.com/log", 1, bytes(32)).body
    signed = sign(body, log.name, log.private) + cosign(body, witness.name, witness.private, 3)
    assert cosignatures(signed, [witness.verifier]) == [(witness.verifier, 3)]
    with pytest.raises(KeyFileError, match="no name of a key"):
        _ = ada.vkey


@pytest.mark.parametrize("name", ["", " ", "a\nb", "\ud800", "x" * 201])
def test_a_name_that_no_line_can_hold_is_refused(name: str) -> None:
    with pytest.raises(KeyFileError, match="no name of a key"):
        generate("author", name)


def test_of_a_name_the_newest_key_signs_and_the_others_are_found(tmp_path: Path) -> None:
    keys = [generate("log", "example.com/log") for _ in range(11)]
    for key in keys:
        save(tmp_path, key)
    ring = Keyring.load(tmp_path)
    assert list(ring.keys) == keys
    assert ring.log == keys[-1]
    assert ring.holding(keys[3].public) == keys[3]
    assert ring.find("log", among={keys[2].public, keys[5].public}) == keys[5]
    assert ring.find("log", among=()) is None
    with pytest.raises(KeyFileError, match="there already"):
        save(tmp_path, keys[4])


def test_names_that_look_alike_as_files_do_not_meet(tmp_path: Path) -> None:
    names = ["a/b", "a%2Fb", "..", ".", "ada.2", "ada+2", "ada", "Ада", "x" * 200, "ж" * 200]
    for name in names:
        assert save(tmp_path, generate("author", name)).parent == tmp_path
    ring = Keyring.load(tmp_path)
    assert {key.name for key in ring.keys} == set(names)
    assert len(list(tmp_path.iterdir())) == len(names)


def test_who_writes_is_not_guessed() -> None:
    bob = generate("author", "bob")
    assert Keyring.memory(bob).author() == bob
    assert Keyring.memory().author() is None
    both = Keyring.memory(ada, bob, generate("log", "example.com/log"))
    assert both.author("bob") == bob and both.author("eve") is None
    with pytest.raises(KeyFileError, match="2 authors"):
        both.author()


def test_a_ring_keeps_a_new_key_where_the_others_are(tmp_path: Path) -> None:
    new = generate("log", "example.com/log")
    save(tmp_path, ada)
    ring = Keyring.load(tmp_path).keep(new)
    assert ring.log == new and Keyring.load(tmp_path).log == new
    assert Keyring.memory(ada).keep(new).keys == (ada, new)
    with pytest.raises(KeyFileError, match="in memory"):
        Keyring.memory().keep(new, "open sesame")


def test_a_private_key_of_another_public_one_is_no_key() -> None:
    with pytest.raises(KeyFileError, match="does not belong"):
        KeyFile("author", "ada", bytes(32), Ed25519PrivateKey.generate())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_is_in_a_file_the_refusal_is_a_key_file_error(
    tmp_path: Path, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(PLAIN)))
    stop = data.draw(st.integers(start, len(PLAIN)))
    piece = data.draw(st.one_of(st.binary(max_size=20), st.sampled_from([b"\n\n", b"-----BEGIN "])))
    path = other_file(tmp_path, PLAIN[:start].encode() + piece + PLAIN[stop:].encode())
    try:
        assert load(path).public == ada.public
    except PersistenceError as error:
        assert isinstance(error, KeyFileError)


@given(st.binary(max_size=300), st.sampled_from(["PRIVATE KEY", "ENCRYPTED PRIVATE KEY"]))
def test_whatever_der_is_imported_the_refusal_is_a_key_file_error(der: bytes, label: str) -> None:
    pem = f"-----BEGIN {label}-----\n{base64.encodebytes(der).decode()}-----END {label}-----\n"
    with pytest.raises(KeyFileError):
        import_pem(pem.encode(), "log", "example.com/log", "tea")


@given(st.binary(max_size=500))
def test_whatever_is_imported_the_refusal_is_a_key_file_error(data: bytes) -> None:
    for head in (b"", b"-----BEGIN OPENSSH PRIVATE KEY-----\n", b"-----BEGIN "):
        with pytest.raises(KeyFileError):
            import_pem(head + data, "log", "example.com/log")
