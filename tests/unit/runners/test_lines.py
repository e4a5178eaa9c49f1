"""The log of a sandbox."""

from pathlib import Path

from modelyard.base.clock import SteppedClock
from modelyard.base.disk import RealDisk
from modelyard.runners.process.lines import LONGEST, NOTE, LineLog


def log(tmp_path: Path, cap: int = 1 << 30) -> tuple[LineLog, Path, SteppedClock]:
    clock = SteppedClock(100.0)
    return LineLog(str(tmp_path / "log"), cap, clock), tmp_path / "log", clock


def test_a_line_is_written_when_its_end_has_come(tmp_path: Path) -> None:
    lines, path, clock = log(tmp_path)
    lines.feed(b"one\ntw")
    clock.step(1.5)
    lines.feed(b"o\n\nthree")
    assert path.read_bytes() == b"100000\tone\n101500\ttwo\n101500\t\n"
    lines.end(RealDisk())
    assert path.read_bytes().endswith(b"101500\tthree\n")


def test_times_never_fall_although_the_clock_does(tmp_path: Path) -> None:
    lines, path, clock = log(tmp_path)
    lines.feed(b"one\n")
    clock.step(-50)
    lines.feed(b"two\n")
    assert path.read_bytes() == b"100000\tone\n100000\ttwo\n"


def test_carriage_returns_stay(tmp_path: Path) -> None:
    lines, path, _ = log(tmp_path)
    lines.feed(b"10%\r20%\r\n")
    assert path.read_bytes() == b"100000\t10%\r20%\r\n"


def test_a_line_without_end_is_split_between_characters(tmp_path: Path) -> None:
    lines, path, _ = log(tmp_path)
    text = "x" + "€" * LONGEST
    for start in range(0, len(text.encode()), 65_536):
        lines.feed(text.encode()[start : start + 65_536])
    lines.end(RealDisk())
    pieces = [line.partition(b"\t")[2] for line in path.read_bytes().split(b"\n")[:-1]]
    assert all(len(piece) <= LONGEST for piece in pieces)
    assert "".join(piece.decode() for piece in pieces) == text


def test_bytes_that_are_no_text_are_kept_and_split_anywhere(tmp_path: Path) -> None:
    lines, path, _ = log(tmp_path)
    lines.feed(b"\x80" * (LONGEST * 2) + b"\n")
    kept = path.read_bytes().replace(b"100000\t", b"").replace(b"\n", b"")
    assert kept == b"\x80" * (LONGEST * 2)


def test_over_the_cap_lines_are_counted_and_none_is_kept_after(tmp_path: Path) -> None:
    lines, path, _ = log(tmp_path, cap=40 + NOTE)
    lines.feed(b"first\nsecond, which is much too long for it\nx\n")
    lines.feed(b"y\nz")
    lines.end(RealDisk())
    note = b"modelyard: 4 more lines were not kept: the log is full"
    assert path.read_bytes() == b"100000\tfirst\n100000\t" + note + b"\n"
    assert path.stat().st_size <= 40 + NOTE
    assert lines.dropped == 4


def test_a_link_in_the_logs_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("")
    (tmp_path / "log").symlink_to(tmp_path / "target")
    try:
        log(tmp_path)
    except OSError:
        return
    raise AssertionError("it was opened")
