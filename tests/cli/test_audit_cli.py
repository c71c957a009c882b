"""Keys, checkpoints, proofs, exports and witnesses from the command line, and what is refused.

Whatever a test does here, no private key may be found afterwards in what was printed, or in any
file but its own.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from persistence.audit import keyfile, note
from persistence.audit.checkpoint import Checkpoint
from persistence.audit.proof import Evidence, Proof
from persistence.audit.signing_key import KeyFile, generate
from tests.audit.independent import Rejected, check_checkpoint, check_proof, check_tiles
from tests.cli.conftest import Ran, Run
from tests.cli.test_process import PROGRAM

ORIGIN = "example.com/shop"
LOG_FILE = "shop.keys/example.com%2Fshop.key"
PHRASE = "open, please"
TEA = '[:item/sku "tea-1"]'
SCHEMA = "{:db/ident :item/sku :db/unique :db.unique/identity}"
DATA = f'[{SCHEMA} {{:item/sku "tea-1" :item/name "Green tea" :item/price 10}}]'
TEA_T = 4  # after the events that add one log key and two authors


@pytest.fixture
def run(run: Run, tmp_path: Path) -> Iterator[Run]:
    """The program; at the end no secret is in what it printed, or in a file beside the keys."""
    printed = []

    def recorded(*words: str, input: str | bytes | None = None) -> Ran:
        ran = run(*words, input=input)
        printed.append(f"{words}\n{ran.out}\n{ran.err}")
        return ran

    yield recorded
    opened = [keyfile.load(file, PHRASE) for file in tmp_path.rglob("*.key")]
    for secret in (secret for key in opened for secret in secrets(key)):
        assert not [text for text in printed if secret.decode(errors="replace") in text]
        for file in (each for each in tmp_path.rglob("*") if each.is_file()):
            assert file.suffix in (".key", ".pem", ".seed") or secret not in file.read_bytes(), file
    assert not [text for text in printed if "PRIVATE KEY" in text or PHRASE in text]


def secrets(key: KeyFile) -> list[bytes]:
    """The seed of *key* as it might be written, and the PEM around it."""
    assert key.private is not None
    seed = key.private.private_bytes_raw()
    pem = key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return [seed, seed.hex().encode(), base64.b64encode(seed), *pem.splitlines()[1:-1]]


@pytest.fixture
def shop(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The program beside a signed store with one transaction, its keys in the environment."""
    assert run("keys", "generate", "shop.keys", "--origin", ORIGIN, *authors("ana", "bo")).code == 0
    monkeypatch.setenv("PERSISTENCE_KEYS", "shop.keys")
    assert run("transact", DATA, "--author", "ana", "--json").json["t"] == TEA_T
    return run


def authors(*names: str) -> list[str]:
    return [word for name in names for word in ("--author", name)]


def vkey(run: Run) -> str:
    """The verifier key, as an auditor was told it."""
    shown = run("keys", "show", "--json").json
    return str(next(key["vkey"] for key in shown if key["role"] == "log"))


def refused(ran: Ran, *told: str) -> None:
    """The program did nothing, and said why."""
    assert ran.code == 2 and ran.out == "", ran
    assert ran.err.startswith("error: ") and "Traceback" not in ran.err
    assert all(one in ran.err for one in told), ran.err


# -------------------------------------------------------------------------- key files


def test_new_keys_are_for_their_owner_only_and_tell_what_is_next(run: Run) -> None:
    ran = run("keys", "generate", "shop.keys", "--origin", ORIGIN, "--author", "ana")
    assert ran.code == 0 and f"verifier key: {ORIGIN}+" in ran.out
    assert "persistence --store URI --keys shop.keys init" in ran.out
    assert Path("shop.keys").stat().st_mode & 0o777 == 0o700
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in Path("shop.keys").iterdir())
    shown = run("keys", "show", "shop.keys", "--json").json
    assert {(key["role"], key["name"]) for key in shown} == {("log", ORIGIN), ("author", "ana")}
    assert all(key["public"] == keyfile.load(key["file"]).public.hex() for key in shown)


def test_keys_are_never_made_in_the_place_of_others(run: Run) -> None:
    run("keys", "generate", "shop.keys", "--origin", ORIGIN, "--author", "ana")
    before = sorted(Path("shop.keys").iterdir())
    refused(
        run("keys", "generate", "shop.keys", *authors("bo", "ana")),
        "the author key of ana is there already",
    )
    again = run("keys", "generate", "shop.keys", "--origin", "example.com/other")
    refused(again, "the log key of example.com/shop is there already", "keys rotate")
    assert sorted(Path("shop.keys").iterdir()) == before
    assert run("keys", "generate", "shop.keys", "--author", "bo").code == 0


def test_keys_under_a_passphrase(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("phrase").write_text(f"{PHRASE}\n")
    with_file = ("--key-passphrase-file", "phrase")
    run("keys", "generate", "shop.keys", "--origin", ORIGIN, "--author", "ana", *with_file)
    assert "ENCRYPTED" in Path(LOG_FILE).read_text()
    refused(run("--keys", "shop.keys", "transact", DATA), "encrypted", "--key-passphrase-file")
    assert run("--keys", "shop.keys", *with_file, "transact", DATA).code == 0
    assert run("--keys", "shop.keys", "verify").code == 0  # opens no private key
    monkeypatch.setenv("PERSISTENCE_PASSPHRASE", PHRASE)
    assert run("--keys", "shop.keys", "checkpoint").code == 0
    assert run("--keys", "shop.keys", "keys", "rotate", "ana").code == 0
    assert "ENCRYPTED" in Path("shop.keys/ana+2.key").read_text()
    monkeypatch.setenv("PERSISTENCE_PASSPHRASE", "close, please")
    refused(run("--keys", "shop.keys", "checkpoint"), "shop.keys/ana.key: the passphrase")
    monkeypatch.delenv("PERSISTENCE_PASSPHRASE")
    refused(run("keys", "generate", "x.keys", "--author", "x", "--encrypt"), "no passphrase")
    assert not Path("x.keys").exists()


@pytest.mark.parametrize("form", ["pkcs8", "openssh", "encrypted", "seed"])
def test_a_key_from_elsewhere_is_imported(run: Run, form: str) -> None:
    key = generate("author", "ana")
    assert key.private is not None
    pem = {
        "pkcs8": (PrivateFormat.PKCS8, NoEncryption()),
        "openssh": (PrivateFormat.OpenSSH, NoEncryption()),
        "encrypted": (PrivateFormat.PKCS8, BestAvailableEncryption(PHRASE.encode())),
    }
    data = (
        base64.b64encode(key.private.private_bytes_raw())
        if form == "seed"
        else key.private.private_bytes(Encoding.PEM, *pem[form])
    )
    Path("mine.pem").write_bytes(data)
    Path("phrase").write_text(PHRASE)
    options = ("--file-passphrase-file", "phrase") if form == "encrypted" else ()
    words = ("keys", "import", "my.keys", "mine.pem", "--role", "author", "--name", "ana", *options)
    assert run(*words, "--json").json["public"] == key.public.hex()
    assert keyfile.load("my.keys/ana.key").public == key.public
    refused(run(*words), "is there already")
    if form != "encrypted":
        refused(run(*words, "--file-passphrase-file", "phrase"), "mine.pem is not encrypted")


# ------------------------------------------------------------------------ keys of a log


def test_a_store_is_signed_from_the_first_command_with_keys_on(shop: Run) -> None:
    listed = shop("keys", "list", "--json").json
    assert [(key["role"], key["name"], key["since"]) for key in listed] == [
        ("log", ORIGIN, 0),
        ("author", "ana", 1),
        ("author", "bo", 2),
    ]
    assert f"verifier key: {vkey(shop)}" in shop("keys", "list").out
    assert shop("verify", "--json").json["clean"]


def test_a_log_without_keys_is_a_finding(run: Run) -> None:
    assert run("transact", DATA).code == 0
    ran = run("keys", "list", "--json")
    assert (ran.code, ran.json) == (1, []) and "not signed" in ran.err


def test_reading_begins_no_log(run: Run) -> None:
    run("transact", DATA)
    run("keys", "generate", "shop.keys", "--origin", ORIGIN)
    for words in (("stats",), ("log",), ("check",), ("verify",), ("keys", "list"), ("branch",)):
        run("--keys", "shop.keys", *words)
    assert run("keys", "list").code == 1


def test_every_command_that_writes_signs(shop: Run) -> None:
    Path("n.jsonl").write_text('{"sku": "tea-2", "price": 3}\n')
    ana = ("--author", "ana")
    for words in (
        ("import", "n.jsonl", "--id", "item/sku", *ana),
        ("branch", "create", "b", *ana),
        ("--branch", "b", "transact", f"[[:db/add {TEA} :item/price 15]]", *ana),
        ("merge", "b", "--dry-run"),
        ("merge", "b", *ana),
        ("branch", "discard", "b", *ana),
    ):
        ran = shop(*words)
        assert ran.code == 0, (words, ran.err)
    assert shop("verify").code == 0
    assert {tx["author"] for tx in shop("log", "--graph", "--json").json[:5]} == {"ana"}


def test_the_author_selects_the_key(shop: Run) -> None:
    public = {key["name"]: key["public"] for key in shop("keys", "list", "--json").json}
    for name in ("ana", "bo"):
        t = shop("transact", "[{:x 1}]", "--author", name, "--json").json["t"]
        proof = Proof.parse(shop("prove", str(t)).out)
        assert bytes.fromhex(public[name]) in Evidence.parse(proof.extra or b"").entry
    refused(shop("transact", "[{:x 1}]"), "keys of 2 authors")
    refused(shop("transact", "[{:x 1}]", "--author", "eve"), "author 'eve'")


def test_keys_are_added_by_file_or_by_public_key(shop: Run, tmp_path: Path) -> None:
    carl = generate("author", "carl")
    file = keyfile.save(tmp_path / "carl.keys", carl)
    added = shop("keys", "add", "--file", str(file), "--namespace", "item", "--json").json
    assert (added["name"], added["namespaces"]) == ("carl", ["item"])
    both = ("--keys", "carl.keys")
    assert shop(*both, "transact", '[{:item/sku "tea-2"}]').code == 0
    refused(shop(*both, "transact", '[{:user/name "Ada"}]'), "not of :user/name")
    dora = generate("author", "dora")
    words = ("keys", "add", "--role", "author", "--name", "dora", "--public", dora.public.hex())
    assert "entry 6 of the log says: the author key of dora signs" in shop(*words).out
    refused(shop(*words), "second key of role :author called 'dora'")


def test_an_author_key_is_rotated(shop: Run) -> None:
    before = {key["public"] for key in shop("keys", "list", "--json").json}
    made = shop("keys", "rotate", "ana", "--json").json
    assert made["public"] not in before
    assert keyfile.load("shop.keys/ana+2.key").public.hex() == made["public"]
    assert shop("transact", "[{:x 1}]", "--author", "ana").code == 0
    assert shop("verify").code == 0


def test_the_log_key_is_rotated_and_all_goes_on(shop: Run) -> None:
    old_vkey, old = vkey(shop), shop("checkpoint").out
    shop("prove", str(TEA_T), "--out", "old.tlog-proof")
    made = shop("keys", "rotate", ORIGIN, "--json").json
    assert shop("transact", "[{:x 1}]", "--author", "ana").code == 0
    new = shop("checkpoint", "--json").json
    assert new["vkey"] == old_vkey and new["size"] == TEA_T + 2
    signer = shop("prove", "6", "--out", "new.tlog-proof", "--json").json["signer"]
    assert note.VerifierKey.parse(signer).public.hex() == made["public"]
    with pytest.raises(Rejected):
        check_checkpoint(new["note"], old_vkey)
    assert check_checkpoint(new["note"], signer).size == new["size"]
    assert shop("verify", "--vkey", old_vkey).code == 0
    assert shop("export", "--tiles", "pub").code == 0
    Path("old").write_text(old)
    assert shop("verify", "pub", "--vkey", old_vkey, "--since", "old").code == 0
    assert shop("verify", "old.tlog-proof", "--vkey", old_vkey).code == 0
    assert shop("verify", "new.tlog-proof", "--vkey", old_vkey).code == 1
    assert shop("verify", "new.tlog-proof", "--vkey", old_vkey, "--signer", signer).code == 0


def test_a_refused_rotation_leaves_no_key_behind(shop: Run) -> None:
    Path(LOG_FILE).rename("log.key")
    before = sorted(Path("shop.keys").glob("*.key"))
    refused(shop("keys", "rotate", "ana"), "only the log's own key")
    assert sorted(Path("shop.keys").glob("*.key")) == before


def test_a_revoked_key_signs_nothing(shop: Run) -> None:
    assert "entry 4 of the log says: the author key of bo" in shop("keys", "revoke", "bo").out
    refused(shop("transact", "[{:x 1}]", "--author", "bo"), "revoked", "index 4")
    refused(shop("keys", "revoke", "bo"), "ended at index 4")
    refused(shop("keys", "rotate", "bo"), "ended at index 4")
    refused(shop("keys", "revoke", ORIGIN), "the only log key")
    assert shop("transact", "[{:x 1}]").code == 0  # ana is the only author now
    assert shop("verify").code == 0


# --------------------------------------------------------------- what others look at


@pytest.fixture
def exported(shop: Run) -> tuple[Run, str]:
    """The program, and the log's verifier key; a checkpoint, tiles and two proofs lie there."""
    older = shop("checkpoint", "--out", "older.checkpoint")
    assert older.code == 0
    for price in (11, 12, 13):
        forms = f"[[:db/add {TEA} :item/price {price}]]"
        assert shop("transact", forms, "--author", "ana").code == 0
    for words in (
        ("checkpoint", "--out", "now.checkpoint"),
        ("export", "--tiles", "pub"),
        ("prove", str(TEA_T), "--out", "tx.tlog-proof"),
        (
            "prove",
            str(TEA_T),
            "--entity",
            TEA,
            "--attribute",
            ":item/price",
            "--out",
            "d.tlog-proof",
        ),
    ):
        ran = shop(*words)
        assert ran.code == 0 and words[-1] in ran.out, ran.err
    return shop, vkey(shop)


def test_what_is_exported_is_accepted_by_others(exported: tuple[Run, str]) -> None:
    _, key = exported
    said = check_checkpoint(Path("now.checkpoint").read_text(), key)
    assert (said.origin, said.size) == (ORIGIN, TEA_T + 3)
    assert check_tiles(Path("pub"), key, older=Path("older.checkpoint").read_text()) == said
    for name in ("tx.tlog-proof", "d.tlog-proof"):
        text = Path(name).read_text()
        entry = Evidence.parse(Proof.parse(text).extra or b"").entry
        assert check_proof(text, entry, key) == TEA_T - 1


def test_what_was_changed_is_rejected_by_others_and_by_us(exported: tuple[Run, str]) -> None:
    run, key = exported

    def changed(name: str, change: Callable[[bytes], bytes]) -> Path:
        path = Path(name)
        before = path.read_bytes()
        path.write_bytes(change(before))
        assert path.read_bytes() != before
        return path

    checkpoint = Path("now.checkpoint").read_text()
    larger = checkpoint.replace(f"\n{TEA_T + 3}\n", f"\n{TEA_T + 4}\n")
    with pytest.raises(Rejected):
        check_checkpoint(larger, key)
    text = Path("tx.tlog-proof").read_text()
    proof = Proof.parse(text)
    entry = Evidence.parse(proof.extra or b"").entry
    moved = changed("tx.tlog-proof", lambda data: data.replace(b"index 3\n", b"index 2\n"))
    with pytest.raises(Rejected):
        check_proof(moved.read_text(), entry, key)
    ran = run("verify", "tx.tlog-proof", "--vkey", key, "--json")
    assert ran.code == 1 and not ran.json["clean"] and "finding" in ran.err
    changed(f"pub/tile/0/000.p/{TEA_T + 3}", lambda data: data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(Rejected):
        check_tiles(Path("pub"), key)
    ran = run("verify", "pub", "--vkey", key)
    assert ran.code == 1 and "tile/0/000" in ran.out


def test_our_own_verifier_accepts_what_is_exported(exported: tuple[Run, str]) -> None:
    run, key = exported
    assert run("verify", "pub", "--vkey", key, "--since", "older.checkpoint").code == 0
    counts = run("verify", "pub", "--vkey", key, "--json").json["counts"]
    assert counts["transactions"] == counts["signed"] == TEA_T + 3
    ran = run("verify", "d.tlog-proof", "--vkey", key)
    assert ran.code == 0 and ":item/price 10" in ran.out and "nothing was found" in ran.out
    assert run("verify", "tx.tlog-proof", "--vkey", key, "--json").json["says"]["author"]


def test_truncated_tiles_are_a_finding(exported: tuple[Run, str]) -> None:
    run, key = exported
    tile = Path(f"pub/tile/entries/000.p/{TEA_T + 3}")
    whole = tile.read_bytes()
    tile.write_bytes(whole[:-7])
    assert run("verify", "pub", "--vkey", key).code == 1
    tile.unlink()
    ran = run("verify", "pub", "--vkey", key, "--json")
    assert ran.code == 1 and "tile/entries/000" in ran.json["findings"][0]["where"]


def test_an_export_is_continued_and_none_of_another_log(exported: tuple[Run, str]) -> None:
    run, key = exported
    assert run("transact", "[{:x 1}]", "--author", "ana").code == 0
    assert run("export", "--tiles", "pub", "--json").json["size"] == TEA_T + 4
    assert check_tiles(Path("pub"), key, older=Path("now.checkpoint").read_text()).size == TEA_T + 4
    other = ("--store", "other.db", "--keys", "other.keys")
    run("keys", "generate", "other.keys", "--origin", "example.com/other", "--author", "ana")
    for _ in range(8):
        assert run(*other, "transact", "[{:x 1}]").code == 0
    refused(run(*other, "export", "--tiles", "pub"), "pub")
    assert run("verify", "pub", "--vkey", key).code == 0


def test_a_proof_under_an_older_checkpoint(exported: tuple[Run, str]) -> None:
    run, key = exported
    under = ("--checkpoint", "older.checkpoint")
    proof = run("prove", str(TEA_T), *under).out
    assert proof.endswith(Path("older.checkpoint").read_text())
    refused(run("prove", str(TEA_T + 1), *under), "covers 4 entries, and this is number 5")
    # The path for one tree size, under the checkpoint of another.
    longer = run("prove", str(TEA_T)).out
    mixed = Proof(3, Proof.parse(longer).path, Proof.parse(proof).checkpoint, None)
    Path("mixed.tlog-proof").write_text(mixed.text)
    assert run("verify", "mixed.tlog-proof", "--vkey", key).code == 1


def test_a_transaction_is_named_by_its_id_and_a_datom_by_its_place(shop: Run) -> None:
    id = shop("log", "--json").json[0]["id"]
    assert shop("prove", id).out == shop("prove", str(TEA_T)).out
    told = shop("prove", id, "--datom", "4", "--json").json
    assert (told["datom"]["a"], told["index"]) == (":item/price", TEA_T - 1)
    assert Evidence.parse(Proof.parse(told["proof"]).extra or b"").datom_index == 4
    refused(shop("prove", id, "--entity", TEA), "3 of the 5 datoms", "--datom 4: ")
    refused(shop("prove", id, "--datom", "5"), "5 datoms, and none at place 5")
    refused(shop("prove", id, "--datom", "1", "--entity", TEA), "leave out")
    refused(shop("prove", "99"), "the log ends at t = 4")
    refused(shop("prove", "0"), "first transaction")
    refused(shop("prove", "2026-01-01"), "neither a t nor a transaction id")
    refused(shop("prove", id, "--entity", '[:item/sku "no"]'), "nothing is known")


def test_a_datom_of_a_branch_is_proved(shop: Run) -> None:
    shop("branch", "create", "b", "--author", "ana")
    forms = f"[[:db/add {TEA} :item/price 15]]"
    t = shop("--branch", "b", "transact", forms, "--author", "bo", "--json").json["t"]
    words = ("prove", str(t), "--attribute", "item/price", "--datom", "0")
    refused(shop(*words), "leave out")
    assert shop("prove", str(t), "--datom", "0", "--out", "b.tlog-proof").code == 0
    ran = shop("verify", "b.tlog-proof", "--vkey", vkey(shop))
    assert ran.code == 0 and ":item/price" in ran.out


# ---------------------------------------------------------------------------- refusals


def test_another_log_is_not_verified_in_the_place_of_this_one(exported: tuple[Run, str]) -> None:
    run, key = exported
    run("keys", "generate", "other.keys", "--origin", "example.com/other", "--author", "ana")
    other = vkey(lambda *words: run("--keys", "other.keys", *words))
    impostor = note.VerifierKey(ORIGIN, note.VerifierKey.parse(other).public).text
    for wrong in (other, impostor):
        for path in ("pub", "tx.tlog-proof"):
            assert run("verify", path, "--vkey", wrong).code == 1
        ran = run("verify", "--vkey", wrong, "--json")
        assert ran.code == 1 and ran.json["findings"][0]["where"] == "the log's key"
        assert key in ran.json["findings"][0]["found"]
    words = ("--store", "other.db", "--keys", "other.keys")
    run(*words, "transact", "[{:x 1}]")
    Path("theirs").write_text(run(*words, "checkpoint").out)
    refused(run("prove", "4", "--checkpoint", "theirs"), "checkpoint of example.com/other")
    shutil.copy("other.db", "shop.db")
    ran = run("verify", "--json")
    assert ran.code == 1
    assert ran.json["findings"][0]["found"] == "example.com/other"


def test_a_forged_checkpoint_proves_nothing(exported: tuple[Run, str]) -> None:
    run, _ = exported
    text = Path("older.checkpoint").read_text()
    body = Checkpoint(ORIGIN, TEA_T, bytes(32)).body
    forged = note.sign(body, ORIGIN, generate("log", ORIGIN).private)  # type: ignore[arg-type]
    larger = text.replace(f"\n{TEA_T}\n", "\n99\n")
    unsigned = forged.replace(body, note.SignedNote.parse(text).body)
    for content, told in (
        (forged, "another root"),
        (larger, "covers 99 entries, and this log has 7"),
        (unsigned, "no known key signed"),
        ("tea\n", "f: not a signed note"),
    ):
        Path("f").write_text(content)
        refused(run("prove", "4", "--checkpoint", "f"), told)


def rolled_back(run: Run) -> None:
    """Puts an old copy of the store back, after a checkpoint of a later state was remembered."""
    shutil.copy("shop.db", "old.db")
    assert run("transact", "[{:x 1}]", "--author", "ana").code == 0
    assert run("checkpoint").code == 0
    for name in ("shop.db-wal", "shop.db-shm"):
        Path(name).unlink(missing_ok=True)
    shutil.copy("old.db", "shop.db")


def test_a_store_that_went_back_is_refused_by_every_command(shop: Run) -> None:
    rolled_back(shop)
    for words in (
        ("transact", "[{:x 1}]", "--author", "ana"),
        ("checkpoint",),
        ("export", "--tiles", "pub"),
        ("prove", "4"),
        ("q", "[:find ?x :where [_ :x ?x]]"),
        ("stats",),
    ):
        refused(shop(*words), "it has 4 entries, and 5 were signed for", "hint: ")
    assert len(list(Path("shop.keys/evidence").iterdir())) == 2


def test_verify_tells_of_a_store_that_went_back(shop: Run) -> None:
    rolled_back(shop)
    ran = shop("verify", "--json")
    assert ran.code == 1
    assert ran.json["findings"] == [
        {
            "where": "the remembered checkpoint",
            "expected": "a log of at least 5 entries",
            "found": "4",
        }
    ]
    assert "evidence" in ran.json["says"]["evidence"]
    assert shop("verify").code == 1


def test_verify_tells_of_a_store_that_was_made_anew_without_keys(
    shop: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in Path().glob("shop.db*"):
        file.unlink()
    monkeypatch.delenv("PERSISTENCE_KEYS")
    shop("transact", DATA)
    assert shop("verify").code == 0
    ran = shop("--keys", "shop.keys", "verify", "--json")
    assert ran.code == 1 and "not signed" in ran.json["findings"][0]["found"]


@pytest.mark.parametrize(
    ("damage", "where", "found"),
    [
        ("UPDATE checkpoint SET note = 'tea'", "the store", "not a signed note"),
        ("UPDATE tx SET branch = 1 WHERE t = 4", "transaction t = 4 parent", ""),
        ("DELETE FROM tx WHERE t = 2", "the store", "no complete node"),
        ("UPDATE tx SET leaf = zeroblob(32) WHERE t = 2", "the newest checkpoint, root", ""),
    ],
)
def test_verify_tells_of_a_store_that_cannot_be_opened(
    shop: Run, damage: str, where: str, found: str
) -> None:
    with closing(sqlite3.connect("shop.db")) as db, db:
        for (trigger,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            db.execute(f"DROP TRIGGER {trigger}")
        assert db.execute(damage).rowcount == 1
    ran = shop("verify", "--json")
    places = {finding["where"]: finding["found"] for finding in ran.json["findings"]}
    assert ran.code == 1 and found in places[where], ran


def test_key_files_with_loose_permissions_are_refused(shop: Run) -> None:
    Path(LOG_FILE).chmod(0o640)
    for words in (
        ("transact", "[{:x 1}]", "--author", "ana"),
        ("checkpoint",),
        ("keys", "show"),
        ("keys", "add", "--file", LOG_FILE),
    ):
        refused(shop(*words), LOG_FILE, "mode 640", "hint: chmod 600")
    Path(LOG_FILE).chmod(0o600)
    Path("shop.keys").chmod(0o770)
    refused(shop("checkpoint"), "shop.keys", "chmod 700")
    refused(shop("verify"), "shop.keys", "chmod 700")
    Path("shop.keys").chmod(0o700)


def test_without_keys_nothing_is_signed(shop: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PERSISTENCE_KEYS")
    refused(shop("transact", "[{:x 1}]"), "opened without keys", "PERSISTENCE_KEYS")
    refused(shop("checkpoint"), "key of the log example.com/shop is not here")
    refused(shop("keys", "rotate", "ana"), "--keys DIR")
    refused(shop("keys", "revoke", "ana"), "opened without keys")
    refused(shop("keys", "show"), "no directory is named")
    assert shop("prove", "4").code == 0 and shop("export", "--tiles", "pub").code == 0
    assert shop("verify").code == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("keys", "generate", "k"), "no key is asked for"),
        (("keys", "generate", "k", "--origin", "two words"), "no name of a key"),
        (("keys", "generate", "k", "--author", "x", "--origin", "a+b"), "no name of a key"),
        (("keys", "generate", "k", "--author", ""), "no name of a key"),
        (("keys", "generate", "shop.db", "--author", "x"), "not a directory"),
        (("keys", "import", "k", "none.pem", "--role", "log", "--name", "x"), "cannot be read"),
        (("keys", "import", "k", "tea", "--role", "log", "--name", "x"), "neither PEM nor"),
        (("keys", "import", "k", "tea", "--role", "king", "--name", "x"), "'king'"),
        (("keys", "show", "nowhere"), "nowhere: no such file or directory"),
        (("keys", "show", "empty"), "there are no keys in it"),
        (("keys", "add"), "one of --public and --file"),
        (("keys", "add", "--public", "zz", "--role", "log", "--name", "x"), "64 hexadecimal"),
        (("keys", "add", "--public", "00" * 32), "needs --role and --name"),
        (("keys", "add", "--public", "00" * 32, "--role", "author", "--name", "\n"), "no name"),
        (("keys", "add", "--file", "none.key"), "no such file"),
        (("keys", "add", "--file", "tea"), "no key file"),
        (("keys", "revoke", "eve"), "no key of 'eve'"),
        (("keys", "rotate", "ab" * 32), "no key of"),
        (("--keys", "nowhere", "transact", "[{:x 1}]"), "nowhere: no such file or directory"),
        (("--keys", "nowhere", "verify"), "nowhere: no such file or directory"),
        (("--keys", "empty", "transact", "[{:x 1}]"), "keys generate empty"),
        (("--keys", "empty", "checkpoint"), "there are no keys in it"),
        (("--key-passphrase-file", "none", "checkpoint"), "none cannot be read"),
        (("--key-passphrase-file", "blank", "checkpoint"), "blank holds no passphrase"),
        (("--as-of", "1", "checkpoint"), "--as-of"),
        (("checkpoint", "--witness", "http://localhost"), "VKEY=URL"),
        (("checkpoint", "--witness", "x=http://localhost"), "not a verifier key"),
        (("prove",), "missing argument"),
        (("prove", "4", "--checkpoint", "none"), "none cannot be read"),
        (("export",), "--tiles"),
        (("export", "--tiles", "tea"), "tea"),
        (("verify", "tea"), "--vkey is missing"),
        (("verify", "tea", "--vkey", "nonsense"), "not a verifier key"),
        (("verify", "nowhere", "--vkey", "VKEY"), "nowhere cannot be read"),
        (("verify", "--vkey", "nonsense"), "not a verifier key"),
        (("verify", "empty", "--vkey", "VKEY", "--need", "1"), "--need means nothing"),
        (("verify", "tea", "--vkey", "VKEY", "--since", "tea"), "--since means nothing"),
        (("verify", "tea", "--vkey", "VKEY", "--need", "1"), "more than the --witness"),
        (("verify", "--since", "tea"), "--since means nothing for a store"),
        (("--store", "nowhere.db", "verify"), "there is no store at nowhere.db"),
        (("witness", "vkey", "--key", LOG_FILE), "is the key of a log"),
        (("witness", "vkey", "--key", "none"), "no such file"),
        (("witness", "serve", "--state", "w", "--key", LOG_FILE, "--log", "VKEY"), "of a log"),
        (("witness", "serve", "--state", "w", "--key", LOG_FILE), "--log"),
        (("witness", "serve", "--state", "w", "--key", LOG_FILE, "--log", "x"), "verifier key"),
    ],
)  # fmt: skip
def test_misuse_is_told_and_changes_nothing(shop: Run, words: tuple[str, ...], told: str) -> None:
    Path("tea").write_text("Green tea\n")
    Path("tea").chmod(0o600)
    Path("blank").write_text("\n")
    Path("empty").mkdir(mode=0o700)
    key, before = vkey(shop), sorted(Path("shop.keys").iterdir())
    refused(shop(*(key if word == "VKEY" else word for word in words)), told)
    assert shop("log", "--json", "--limit", "1").json[0]["t"] == TEA_T
    assert sorted(Path("shop.keys").iterdir()) == before and not Path("k").exists()


def test_a_proof_that_is_none_is_a_finding(shop: Run) -> None:
    Path("tea").write_text("Green tea\n")
    ran = shop("verify", "tea", "--vkey", vkey(shop), "--json")
    assert ran.code == 1 and ran.json["findings"][0]["where"] == "proof"


# -------------------------------------------------------------------------- witnesses


@pytest.fixture
def witness(shop: Run) -> Iterator[tuple[str, str]]:
    """The verifier key and the URL of a witness that is served by a process of its own."""
    shop("keys", "generate", "w.keys", "--witness", "w.example.com")
    file = "w.keys/w.example.com.key"
    key = shop("witness", "vkey", "--key", file).out.strip()
    words = ("witness", "serve", "--state", "w.db", "--key", file, "--port", "0", "--json")
    with subprocess.Popen(
        [*PROGRAM, *words, "--log", vkey(shop)], stdout=subprocess.PIPE, env=dict(os.environ)
    ) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        assert told["vkey"] == key
        try:
            yield key, told["url"]
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait() == 0


def test_a_witness_cosigns_a_checkpoint(shop: Run, witness: tuple[str, str]) -> None:
    key, url = witness
    with_witness = ("--witness", f"{key}={url}")
    first = shop("checkpoint", *with_witness, "--json").json
    assert first["cosigned"] == [key]
    assert shop("transact", "[{:x 1}]", "--author", "ana").code == 0
    ran = shop("checkpoint", *with_witness)
    assert ran.code == 0
    assert check_checkpoint(ran.out, vkey(shop), [key]).size == TEA_T + 1
    assert shop("prove", str(TEA_T), "--out", "p.tlog-proof").code == 0
    verify = ("verify", "p.tlog-proof", "--vkey", vkey(shop), "--witness", key)
    assert shop(*verify).code == 0
    other = note.VerifierKey("other", bytes(range(32)), 4).text
    assert shop(*verify, "--witness", other).code == 1
    assert shop(*verify, "--witness", other, "--need", "1").code == 0


def test_a_witness_that_does_not_answer_is_a_finding(shop: Run) -> None:
    key = note.VerifierKey("w.example.com", bytes(range(32)), 4).text
    ran = shop("checkpoint", "--witness", f"{key}=http://127.0.0.1:9", "--json")
    assert ran.code == 1 and ran.json["cosigned"] == []
    assert "error: the witness w.example.com cannot be asked" in ran.err
    assert check_checkpoint(ran.json["note"], vkey(shop)).size == TEA_T


def test_a_witness_refuses_another_history(shop: Run, witness: tuple[str, str]) -> None:
    key, url = witness
    shutil.copytree("shop.keys", "again.keys")
    for file in Path("again.keys").glob("remembered*"):
        file.unlink()
    shutil.copy("shop.db", "again.db")
    for _ in range(2):
        assert shop("transact", "[{:x 1}]", "--author", "ana").code == 0
    assert shop("checkpoint", "--witness", f"{key}={url}").code == 0
    fork = ("--store", "again.db", "--keys", "again.keys")
    assert shop(*fork, "transact", "[{:x 2}]", "--author", "ana").code == 0
    ran = shop(*fork, "checkpoint", "--witness", f"{key}={url}")
    assert ran.code == 1 and "error: the witness w.example.com" in ran.err


@pytest.mark.parametrize(
    "words",
    [
        ("keys", "show"),
        ("keys", "list"),
        ("keys", "generate", "x.keys", "--author", "x", "--witness", "w"),
        ("keys", "rotate", "ana"),
        ("keys", "revoke", "ana"),
        ("checkpoint",),
        ("checkpoint", "--out", "c"),
        ("prove", "4"),
        ("prove", "4", "--datom", "2", "--out", "p"),
        ("export", "--tiles", "pub"),
        ("verify",),
    ],
)
def test_json_is_one_line_and_alone_on_standard_output(shop: Run, words: tuple[str, ...]) -> None:
    ran = shop("--json", *words)
    assert ran.code == 0 and ran.out.count("\n") == 1 and ran.json
    assert ran.err == ""


@pytest.mark.parametrize("name", ["generate", "import", "show", "list", "add", "rotate", "revoke"])
def test_every_command_on_keys_teaches_by_an_example(run: Run, name: str) -> None:
    ran = run("keys", name, "--help")
    assert ran.code == 0 and "persistence" in ran.out.partition("Options:")[0].partition("\n")[2]


def test_public_keys_are_those_that_others_compute(run: Run) -> None:
    run("keys", "generate", "k", "--author", "ana")
    key = keyfile.load("k/ana.key")
    assert key.private is not None
    public = key.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert run("keys", "show", "k", "--json").json[0]["public"] == public.hex()
