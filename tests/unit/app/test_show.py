"""Tables in a terminal: names are never broken or cut, and a usual row is one line of 80 columns."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable

import pytest

from modelyard.cli import show


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("TERM", "dumb"), ("COLUMNS", "80")):
        monkeypatch.setenv(name, value)


def seen(show_it: Callable[..., None], shown: object) -> str:
    with contextlib.redirect_stdout(_Terminal()) as screen:
        show_it(shown, as_json=False)
    return screen.getvalue()


def row(name: str, **more: object) -> dict[str, object]:
    return {"name": name, "state": "succeeded", "phase": "Completed", "made_at": "sagemaker", "created": 1.76e9} | more


def test_a_usual_row_is_one_line() -> None:
    header, _, line = seen(show.show_table, [row("iris-1234abcd", seconds=12.5)]).splitlines()
    assert "made at" in header
    assert line.startswith("iris-1234abcd ") and line.endswith(" 12.5")
    assert len(line) <= 80


def test_a_long_name_stays_whole() -> None:
    text = seen(show.show_table, [row("n" * 63, image="i" * 90)])
    assert "n" * 63 in text
    assert "i" * 90 in text
    assert "…" not in text


def test_a_long_sentence_is_folded_at_its_spaces() -> None:
    lines = seen(show.show_record, {"name": "a" * 70, "failure_reason": "too long " * 20}).splitlines()
    assert lines[0] == f"name            {'a' * 70}"
    assert len(lines) > 2
    assert all(len(line) <= 88 for line in lines)
