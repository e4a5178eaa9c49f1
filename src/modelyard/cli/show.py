"""How the terminal shows things: rich tables for people, JSON for scripts.

Owns the look of a value, a time, a finding and a followed log. Refuses to know what is shown. What has no space in it
(a name, a location) is never broken or cut: a table is rather wider than the terminal.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from modelyard.app.doctor import Finding
    from modelyard.app.terminal import LogEvent

_TIMES = ("created", "modified", "started", "ended", "expires")
_UNLIMITED = 1 << 20
"""Columns of what is no terminal."""

_MARKS = {"ok": "[green]ok[/]", "warning": "[yellow]warning[/]", "problem": "[red]problem[/]"}


def show_table(rows: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    if as_json:
        print(json.dumps(list(rows), indent=2, default=str))
        return
    if not rows:
        Console().print("none")
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in rows[0]:
        table.add_column(column.replace("_", " "))
    for row in rows:
        table.add_row(*(_cell(name, value) for name, value in row.items()))
    _show(table)


def show_record(record: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(record, indent=2, default=str))
        return
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in record.items():
        if value not in (None, "", (), [], {}):
            table.add_row(f"[bold]{name.replace('_', ' ')}[/]", _cell(name, value))
    _show(table)


def show_findings(findings: Iterable[Finding], as_json: bool) -> int:
    """Print what doctor found; the exit code: 1 when something is a problem."""
    found = list(findings)
    if as_json:
        print(json.dumps([{k: getattr(f, k) for k in ("what", "state", "message", "mend")} for f in found], indent=2))
    else:
        table = Table(show_header=False, box=None, pad_edge=False)
        for finding in found:
            text = escape(finding.message) + (f"\n[dim]{escape(finding.mend)}[/]" if finding.mend else "")
            table.add_row(f"[bold]{escape(finding.what)}[/]", _MARKS[finding.state], text)
        _show(table)
    return int(any(finding.state == "problem" for finding in found))


def show_log(events: Iterable[LogEvent]) -> bool:
    """Print log lines as they come, and on standard error what the job is busy with; whether it failed."""
    console = Console(stderr=True, highlight=False)
    failed = False
    for event in events:
        if event.kind == "line":
            print(event.text, flush=True)
        else:
            failed = event.kind == "failed"
            console.print(f"[{'red' if failed else 'cyan'}]{escape(event.text)}[/]", soft_wrap=True)
    return failed


def _show(table: Table) -> None:
    """Print a table as wide as the terminal, or as its longest words need; whole where there is no terminal."""
    screen, ample = Console(), Console(width=_UNLIMITED, height=25)
    for number, column in enumerate(table.columns):
        if number == 0 or column.header in _TIMES:
            column.no_wrap = True
            column.min_width = max(Text.from_markup(str(cell)).cell_len for cell in column.cells)
    least = Measurement.get(ample, ample.options, table).minimum
    console = Console(width=max(screen.width, least), height=25) if screen.is_terminal else ample
    with console.capture() as shown:
        console.print(table)
    print("\n".join(line.rstrip() for line in shown.get().splitlines()))


def _cell(name: str, value: Any) -> str:
    if isinstance(value, float) and name in _TIMES:
        return datetime.fromtimestamp(value, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
    if isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
        return "\n".join(escape(", ".join(f"{key} {_plain(part)}" for key, part in one.items())) for one in value)
    if isinstance(value, (dict, list, tuple)):
        return escape(json.dumps(value, default=str))
    return "" if value is None else escape(str(value))


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
