"""The core's nouns at the terminal: ``modelyard jobs|models|endpoints list|get|stop|delete`` and ``logs``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DataDir = Annotated[Path | None, typer.Option(help="Where everything is kept; default: the platform's data folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def add_to(app: typer.Typer) -> None:
    """Add one group for each noun, and ``logs``."""
    for noun, stoppable in (("jobs", True), ("models", False), ("endpoints", False)):
        app.add_typer(_group(noun, stoppable), name=noun)
    app.command()(logs)


def _group(noun: str, stoppable: bool) -> typer.Typer:
    group = typer.Typer(no_args_is_help=True, help=f"The {noun} of every API.")

    @group.command("list")
    def list_all(
        limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 50,
        data_dir: DataDir = None,
        as_json: AsJson = False,
    ) -> None:
        """List them, newest first."""
        from modelyard.app import terminal
        from modelyard.cli.show import show_table

        show_table(terminal.list_noun(data_dir, noun, limit), as_json)

    @group.command("get")
    def get(name: str, data_dir: DataDir = None, as_json: AsJson = False) -> None:
        """Show one, by its name or id."""
        from modelyard.app import terminal
        from modelyard.cli.show import attempt, show_record

        attempt(lambda: show_record(terminal.get_noun(data_dir, noun, name), as_json))

    @group.command("delete")
    def delete(name: str, data_dir: DataDir = None) -> None:
        """Delete one, by its name or id."""
        from modelyard.app import terminal
        from modelyard.cli.show import attempt

        attempt(lambda: terminal.delete_noun(data_dir, noun, name))

    if stoppable:

        @group.command("stop")
        def stop(name: str, data_dir: DataDir = None) -> None:
            """Stop one, by its name or id."""
            from modelyard.app import terminal
            from modelyard.cli.show import attempt

            attempt(lambda: terminal.stop_job(data_dir, name))

    return group


def logs(
    job: str,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job ends.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Print a job's output, with its progress while following."""
    from modelyard.app import terminal
    from modelyard.cli.show import attempt, show_log

    attempt(lambda: show_log(terminal.job_log(data_dir, job, follow), follow))
