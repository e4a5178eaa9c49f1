"""The ``modelyard`` command: each subcommand calls one function of app.

Owns words and options. Imports app only inside a command, so that ``modelyard --help`` answers at once.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from modelyard.base.errors import ModelyardError
from modelyard.cli import nouns
from modelyard.cli.options import AsJson, DataDir


class _Commands(TyperGroup):
    """Every command: an error that says what was wrong becomes one line on standard error and exit code 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ModelyardError as error:
            message = error.message
        except OSError as error:
            if error.filename is None:
                raise
            message = str(error)
        typer.echo(f"modelyard: {' '.join(message.split())}", err=True)
        raise typer.Exit(1)


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    help="A machine-learning platform on your own machine that SageMaker's clients already speak to.",
)
keys = typer.Typer(no_args_is_help=True, help="Keys that sign requests, and bearer tokens.")
app.add_typer(keys, name="keys")
nouns.add_to(app)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"modelyard {version('modelyard')}")
        raise typer.Exit


@app.callback()
def main(
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version and exit.")
    ] = False,
) -> None:
    """What holds for every command."""


Port = Annotated[int | None, typer.Option(help="TCP port; default 8080.")]
Host = Annotated[str | None, typer.Option(help="Address to listen on; default 127.0.0.1.")]


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _say_whether_served(given: dict[str, Any]) -> None:
    """What makes keys may come before the first ``serve``, or name a folder by mistake."""
    from modelyard.app.exports import unserved

    if folder := unserved(given):
        command = f"modelyard serve --data-dir {shlex.quote(str(folder))}"
        typer.echo(f"modelyard: no server runs on {folder}; `{command}` starts one", err=True)


@app.command()
def serve(
    data_dir: DataDir = None,
    host: Host = None,
    port: Port = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Private key (PEM).")] = None,
    anonymous: Annotated[
        bool | None, typer.Option(help="Answer unsigned calls of the REST APIs, also beside loopback.")
    ] = None,
    ephemeral: Annotated[bool, typer.Option(help="Keep everything in a temporary folder, gone at exit.")] = False,
) -> None:
    """Run the server until it is stopped."""
    from modelyard.app.serve import serve as run

    given = _given(data_dir=data_dir, host=host, port=port, tls_cert=tls_cert, tls_key=tls_key, anonymous=anonymous)
    sys.exit(run(given, ephemeral=ephemeral))


@app.command()
def quickstart(
    data_dir: DataDir = None,
    port: Port = None,
    keep: Annotated[bool, typer.Option(help="Leave the server and the endpoint running.")] = False,
) -> None:
    """Train, deploy and ask a real model through boto3."""
    from modelyard.app.quickstart import quickstart as run

    sys.exit(run(_given(data_dir=data_dir, port=port), keep=keep))


@app.command()
def env(data_dir: DataDir = None, host: Host = None, port: Port = None) -> None:
    """Print the exports that point AWS clients here: eval "$(modelyard env)"."""
    from modelyard.app.exports import shell_exports

    given = _given(data_dir=data_dir, host=host, port=port)
    typer.echo(shell_exports(given))
    _say_whether_served(given)


@app.command()
def doctor(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Say what this machine can and cannot do, and how to mend it."""
    from modelyard.app.doctor import examine
    from modelyard.cli.show import show_findings

    sys.exit(show_findings(examine(_given(data_dir=data_dir)), as_json))


@keys.command("create")
def keys_create(
    name: Annotated[str, typer.Option(help="What the key is for.")] = "",
    bearer: Annotated[bool, typer.Option("--bearer", help="A token for the REST APIs instead.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a key; its secret is shown this once."""
    from modelyard.app.access import create_key
    from modelyard.cli.show import show_record

    given = _given(data_dir=data_dir)
    show_record(create_key(given, name, bearer), as_json)
    _say_whether_served(given)


@keys.command("list")
def keys_list(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the keys, never their secrets."""
    from modelyard.app.access import list_keys
    from modelyard.cli.show import show_table

    show_table(list_keys(_given(data_dir=data_dir)), as_json)


@keys.command("delete")
def keys_delete(key_id: str, data_dir: DataDir = None) -> None:
    """End a key and every session made from it."""
    from modelyard.app.access import delete_key

    exported = delete_key(_given(data_dir=data_dir), key_id)
    typer.echo(f"key {key_id} is deleted")
    if exported:
        typer.echo('it was the key of `modelyard env`: run eval "$(modelyard env)" again, which makes another')
