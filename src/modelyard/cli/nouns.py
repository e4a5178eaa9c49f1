"""The core's nouns at the terminal: ``modelyard jobs|models|endpoints list|get|stop|delete`` and ``logs``.

Owns their options and the words for what a noun cannot do. Refuses to know the core: each command calls one function
of app/terminal.py.
"""

from __future__ import annotations

from typing import Annotated

import typer

from modelyard.base.errors import Invalid
from modelyard.cli.options import AsJson, DataDir

_UNSTOPPABLE = {
    "models": "a model does not run, so it cannot be stopped; to be rid of it: modelyard models delete {name}",
    "endpoints": "an endpoint answers until it is deleted; to end it: modelyard endpoints delete {name}",
}
"""What is said to who would stop one of a noun that only can be deleted."""

_COLUMNS = {
    "jobs": "seconds: from when the job's code began to run until it ended or until now; null if it never began."
}
"""What a column's name does not say."""


def add_to(app: typer.Typer) -> None:
    """Add one group for each noun, and ``logs``."""
    for noun in ("jobs", "models", "endpoints"):
        app.add_typer(_group(noun), name=noun)
    app.command()(logs)


def _group(noun: str) -> typer.Typer:
    group = typer.Typer(no_args_is_help=True, help=f"The {noun} of every API.")

    @group.command("list", epilog=_COLUMNS.get(noun))
    def list_all(
        limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 50,
        data_dir: DataDir = None,
        as_json: AsJson = False,
    ) -> None:
        """List them, newest first."""
        from modelyard.app import terminal
        from modelyard.cli.show import show_table

        show_table(terminal.list_noun(data_dir, noun, limit), as_json)

    @group.command("get", epilog=_COLUMNS.get(noun))
    def get(name: str, data_dir: DataDir = None, as_json: AsJson = False) -> None:
        """Show one, by its name or id."""
        from modelyard.app import terminal
        from modelyard.cli.show import show_record

        show_record(terminal.get_noun(data_dir, noun, name), as_json)

    @group.command("delete")
    def delete(name: str, data_dir: DataDir = None) -> None:
        """Delete one, by its name or id."""
        from modelyard.app import terminal

        terminal.delete_noun(data_dir, noun, name)
        typer.echo(f"{noun.removesuffix('s')} {name} {'is being' if noun == 'endpoints' else 'is'} deleted")

    @group.command("stop", hidden=noun in _UNSTOPPABLE)
    def stop(name: str, data_dir: DataDir = None) -> None:
        """Stop one, by its name or id."""
        from modelyard.app import terminal

        if noun in _UNSTOPPABLE:
            raise Invalid(what=_UNSTOPPABLE[noun].format(name=name))
        terminal.stop_job(data_dir, name)
        typer.echo(f"job {name} is told to stop")

    return group


def logs(
    job: str,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job ends.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Print a job's output; with --follow also its progress, and exit code 1 when the job failed."""
    from modelyard.app import terminal
    from modelyard.cli.show import show_log

    failed = show_log(terminal.job_log(data_dir, job, follow))
    raise typer.Exit(int(follow and failed))
