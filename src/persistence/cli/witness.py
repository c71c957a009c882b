"""`witness`: to cosign the checkpoints of others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from persistence.audit.keyfile import KeyFile, load, peek
from persistence.audit.vkey import VerifierKey
from persistence.cli import output, passphrase
from persistence.cli.session import Session, common, pass_session
from persistence.errors import InputError, UnknownKey

_key = click.option("--key", "file", metavar="KEYFILE", required=True, help="The witness's own.")


@click.group(short_help="Cosign the checkpoints of other logs.")
@common(hidden=True)
def witness() -> None:
    """Cosign the checkpoints of other logs, each only if it continues the one before.

    \b
    persistence keys generate w.keys --witness w.example.com
    persistence witness vkey --key w.keys/w.example.com.key
    """


@witness.command("vkey", short_help="Print the verifier key of a witness.")
@_key
@common(hidden=True)
@pass_session
def vkey(session: Session, file: str) -> None:
    """Print the verifier key of a witness, for the logs that it cosigns and for who trusts it.

    \b
    persistence witness vkey --key w.keys/w.example.com.key
    """
    key = _checked(file, peek(Path(file)))
    if session.json:
        output.emit({"name": key.name, "vkey": key.vkey})
    else:
        click.echo(key.vkey)


def _logs(_: click.Context, __: click.Parameter, given: Sequence[str]) -> list[VerifierKey]:
    return [VerifierKey.parse(text) for text in given]


@witness.command("serve", short_help="Serve a witness over HTTP.")
@click.option("--state", metavar="FILE", required=True, help="What it has seen; made if need be.")
@_key
@click.option(
    "--log", "logs", metavar="VKEY", multiple=True, required=True, callback=_logs,
    help="The verifier key of a log to witness. Repeatable.",
)  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=8080, show_default=True,
    help="With 0 the system chooses one.",
)  # fmt: skip
@common(hidden=True)
@pass_session
def serve(
    session: Session, state: str, file: str, logs: list[VerifierKey], host: str, port: int
) -> None:
    """Serve a witness (C2SP tlog-witness) until it is interrupted; its URL is told once it listens.

    It speaks HTTP. What is open to more than a trusted network wants a proxy with TLS in front.

    \b
    persistence witness serve --state w.db --key w.keys/w.example.com.key --log VKEY --port 8080
    """
    try:
        from persistence.audit import witness_server  # noqa: PLC0415  the optional extra `witness`
    except ImportError as error:
        raise InputError(
            "a witness needs Starlette and uvicorn, which are not installed",
            hint="pip install 'persistence-substrate[witness]'",
        ) from error
    key = _checked(file, load(file, passphrase.asked(session.key_passphrase_file)))
    known: dict[str, list[VerifierKey]] = {}
    for log in logs:
        known.setdefault(log.name, []).append(log)

    def ready(url: str) -> None:
        if session.json:
            output.emit({"url": url, "vkey": key.vkey})
        else:
            click.echo(f"{key.name} listens at {url}")
            click.echo(f"verifier key: {key.vkey}")

    witness_server.serve(state, key, known, host=host, port=port, ready=ready)


def _checked(file: str, key: KeyFile) -> KeyFile:
    if key.role != "witness":
        raise UnknownKey(
            f"{file} is the key of a {key.role}, and a witness needs one of its own",
            hint="make one: persistence keys generate DIR --witness NAME",
            path=file,
            role=key.role,
        )
    return key


__all__ = ["witness"]
