"""What quickstart tells to type next works in the shell that ran it."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelyard.app import quickstart


def test_the_command_is_named_as_this_shell_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, other, links = tmp_path / "venv" / "modelyard", tmp_path / "other" / "modelyard", tmp_path / "links"
    for program in (own, other, links / "x"):
        program.parent.mkdir()
        program.touch(mode=0o755)
    (links / "modelyard").symlink_to(own)
    monkeypatch.setattr("sys.executable", str(own.with_name("python")))
    for path, said in ((own.parent, "modelyard"), (links, "modelyard"), (other.parent, str(own)), ("/none", str(own))):
        monkeypatch.setenv("PATH", str(path))
        assert quickstart.command() == said
    own.unlink()
    assert quickstart.command() == f"{own.with_name('python')} -m modelyard"
