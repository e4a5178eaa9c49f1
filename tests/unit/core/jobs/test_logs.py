"""Pages of a log file: offsets that stay, both directions, times."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.core.jobs import logs


def write(path: Path, texts: list[str], rest: str = "") -> None:
    path.write_text("".join(f"{100 + at // 2}\t{text}\n" for at, text in enumerate(texts)) + rest)


def test_a_file_that_is_not_there_reads_as_empty(tmp_path: Path) -> None:
    page = logs.read_page(tmp_path / "none", logs.Window(None, 10))
    assert (page.lines, page.start, page.end) == ((), 0, 0)
    assert logs.text(tmp_path / "none") == ""
    assert logs.span(tmp_path / "none") == (None, None, 0)


def test_a_line_counts_once_its_end_is_there(tmp_path: Path) -> None:
    log = tmp_path / "log"
    write(log, ["one"], "101\ttw")
    page = logs.read_page(log, logs.Window(None, 10))
    assert [line.text for line in page.lines] == ["one"]
    assert logs.read_page(log, logs.Window(None, 10, backward=True)).end == page.end
    with log.open("a") as file:
        file.write("o\n")
    assert [line.text for line in logs.read_page(log, logs.Window(page.end, 10)).lines] == ["two"]
    assert logs.text(log) == "one\ntwo"


@given(
    st.lists(st.text(st.characters(exclude_characters="\n", codec="utf-8"), max_size=30), max_size=40),
    st.integers(1, 7),
)
def test_pages_forward_and_backward_show_every_line_once(texts: list[str], limit: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        log.write_bytes("".join(f"{at}\t{text}\n" for at, text in enumerate(texts)).encode())
        forward, offset = [], 0
        while lines := (page := logs.read_page(log, logs.Window(offset, limit))).lines:
            forward += lines
            offset = page.end
        backward, before = [], None
        while lines := (page := logs.read_page(log, logs.Window(before, limit, backward=True))).lines:
            backward = [*lines, *backward]
            before = page.start
    assert [line.text for line in forward] == [line.text for line in backward] == texts
    assert forward == backward


@given(st.lists(st.integers(0, 20), max_size=30).map(sorted), st.integers(0, 21), st.integers(0, 21))
def test_times_select_the_lines_between_them(times: list[int], since: int, until: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        log.write_text("".join(f"{at}\tline\n" for at in times))
        for backward in (False, True):
            page = logs.read_page(log, logs.Window(None, 100, backward, since, until))
            assert [line.at for line in page.lines] == [at for at in times if since <= at < until]


def test_a_page_is_bounded_in_bytes(tmp_path: Path) -> None:
    log = tmp_path / "log"
    write(log, ["x" * 300_000] * 8)
    assert len(logs.read_page(log, logs.Window(None, 100)).lines) == 3
    assert 3 <= len(logs.read_page(log, logs.Window(None, 100, backward=True)).lines) <= 8


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="symbolic"):
        logs.read_page(tmp_path / "log", logs.Window(None, 1))


def test_the_last_line_that_says_something(tmp_path: Path) -> None:
    write(tmp_path / "log", ["one", "two ", "", " "])
    assert logs.last_text(tmp_path / "log") == "two"
    assert logs.last_text(tmp_path / "none") is None
