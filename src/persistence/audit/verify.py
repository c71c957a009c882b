"""The standalone verifier: checks an export or a proof offline, without any code of the store.

    python -m persistence.audit.verify EXPORT --vkey KEY [--since NOTE] [--no-signatures]
    python -m persistence.audit.verify PROOF.tlog-proof --vkey KEY [--signer KEY]
                                       [--witness KEY ...] [--need N]

It depends on the standard library and `cryptography` only. Exit status 0 says that nothing was
found, 1 that something was, 2 that it was not asked properly. With `--json` it prints one object:

    clean      whether there are no findings
    findings   objects of where, expected and found
    omitted    how many findings there are besides; the first thousand are given
    counts     transactions, signed, unsigned, datoms, redacted, authors, branches of an export
    says       of an export: origin, size, root, vkey (of the log key in force);
               of a proof: origin, size, index, transaction, time, author, branch, datoms, and where
               they apply event, signed by, datom, cosigned
    notes      sentences on what was not looked at
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Final, NoReturn

from persistence.audit.finding import Finding
from persistence.audit.note import NOTE_BYTES, NoteError
from persistence.audit.offline import verify_export
from persistence.audit.proof import PROOF_BYTES
from persistence.audit.proved import verify_proof
from persistence.audit.report import Report, clip

__all__ = ["Finding", "Report", "main", "verify_export", "verify_proof"]

PROGRAM: Final = "python -m persistence.audit.verify"
_QUIET: Final = 1.0  # seconds before progress is shown, and between two lines of it


class Misuse(Exception):
    """What cannot be done as it was asked for."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program; gives its exit status."""
    try:
        options = _parser().parse_args(arguments)
        report = _verified(options)
    except Misuse as error:
        print(f"error: {error}\nhint: {error.hint}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(report.as_json(), indent=2))
    else:
        _print(report)
    return 0 if report.clean else 1


def _verified(options: argparse.Namespace) -> Report:
    path = Path(options.path)
    _check_options(options, export=path.is_dir())
    try:
        if path.is_dir():
            return verify_export(
                path,
                options.vkey,
                signatures=not options.no_signatures,
                processes=options.processes,
                progress=_Progress(),
                remembered=_read(options.since, NOTE_BYTES) if options.since else None,
            )
        witnesses = options.witness or []
        return verify_proof(
            _read(path, PROOF_BYTES),
            options.vkey,
            signer=options.signer,
            witnesses=witnesses,
            need=len(set(witnesses)) if options.need is None else options.need,
        )
    except NoteError as error:
        hint = "a key is name+id+base64, as the log's owner gives it; a note is a signed checkpoint"
        raise Misuse(error.message, hint) from None
    except ValueError as error:
        raise Misuse(str(error), "give as many --witness as --need asks for") from None


def _check_options(options: argparse.Namespace, *, export: bool) -> None:
    """No option is passed over in silence."""
    wrong = ("witness", "need", "signer") if export else ("since", "no_signatures", "processes")
    kind = "an export" if export else "a proof"
    for name in wrong:
        if getattr(options, name) not in (None, False):
            option = "--" + name.replace("_", "-")
            raise Misuse(f"{option} means nothing for {kind}", "leave it out; --help tells more")
    if options.processes is not None and options.processes < 1:
        raise Misuse("--processes is at least 1", "leave it out to use every core")


def _read(path: str | Path, most: int) -> bytes:
    """The bytes of a file, and one more than *most* when it is too long."""
    try:
        with Path(path).open("rb") as file:
            return file.read(most + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise Misuse(f"{path}: {reason}", "give an export's directory or a file") from None


def _print(report: Report) -> None:
    for finding in report.findings:
        print(f"finding: {finding}")
    if report.omitted:
        print(f"and {report.omitted} more findings")
    for title, told in {**report.says, **report.counts}.items():
        print(f"{title}: {clip(str(told))}")
    for sentence in report.notes:
        print(f"note: {sentence}")
    print("no findings" if report.clean else f"{len(report.findings) + report.omitted} findings")


class _Progress:
    """Tells people how far it is, once a second, if it takes more than one."""

    def __init__(self) -> None:
        self.began = self.told = monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = monotonic()
        if now - self.told >= _QUIET:
            self.told = now
            rate = done / (now - self.began)
            print(f"{done} of {total} entries, {rate:.0f}/s", file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Misuse(message, f"{PROGRAM} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog=PROGRAM, description="Verifies an exported log, or a proof, offline.")
    add = parser.add_argument
    add("path", help="the directory of an export, or a .tlog-proof file")
    add("--vkey", required=True, help="the verifier key of the log, from its owner, not from it")
    add("--json", action="store_true", help="print one JSON object")
    add("--since", metavar="NOTE", help="a checkpoint seen earlier, which the export must continue")
    add("--no-signatures", action="store_true", help="check no signatures of authors; much faster")
    add("--processes", type=int, metavar="N", help="share signatures among N (default: all cores)")
    add("--signer", metavar="KEY", help="the key of the proof's checkpoint, if it was rotated")
    add("--witness", action="append", metavar="KEY", help="a witness that is to have cosigned")
    add("--need", type=int, metavar="N", help="of so many witnesses (default: all of them)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
