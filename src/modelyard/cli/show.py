"""How the terminal shows things: rich tables for people, JSON for scripts.

Owns the look of a value, a time, a finding and a followed log. Refuses to know what is shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from modelyard.app.doctor import Finding
    from modelyard.app.terminal import LogEvent

_MARKS = {"ok": "[green]ok[/]", "warning": "[yellow]warning[/]", "problem": "[red]problem[/]"}


def show_table(rows: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    if as_json:
        print(json.dumps(list(rows), indent=2, default=str))
        return
    if not rows:
        Console().print("none")
        return
    table = Table()
    for column in rows[0]:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(_cell(name, value) for name, value in row.items()))
    Console().print(table)


def show_record(record: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(record, indent=2, default=str))
        return
    table = Table(show_header=False)
    for name, value in record.items():
        if value not in (None, "", (), [], {}):
            table.add_row(f"[bold]{name.replace('_', ' ')}[/]", _cell(name, value))
    Console().print(table)


def show_findings(findings: Iterable[Finding], as_json: bool) -> int:
    """Print what doctor found; the exit code: 1 when something is a problem."""
    found = list(findings)
    if as_json:
        print(json.dumps([{k: getattr(f, k) for k in ("what", "state", "message", "mend")} for f in found], indent=2))
    else:
        table = Table(show_header=False)
        for finding in found:
            text = escape(finding.message) + (f"\n[dim]{escape(finding.mend)}[/]" if finding.mend else "")
            table.add_row(f"[bold]{finding.what}[/]", _MARKS[finding.state], text)
        Console().print(table)
    return int(any(finding.state == "problem" for finding in found))


def show_log(events: Iterable[LogEvent], follow: bool) -> None:
    """Print log lines as they come; while following, what the job is busy with is said between them."""
    console = Console(stderr=True)
    for event in events:
        if event.kind == "line":
            print(event.text, flush=True)
        elif follow:
            console.print(f"[cyan]{escape(event.text)}[/]")


def _cell(name: str, value: Any) -> str:
    if isinstance(value, float) and name in ("created", "modified", "started", "ended", "expires"):
        return datetime.fromtimestamp(value, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, (dict, list, tuple)):
        return escape(json.dumps(value, default=str))
    return "" if value is None else escape(str(value))
