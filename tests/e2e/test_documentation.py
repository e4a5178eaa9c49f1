"""What the documentation shows is run: its Python with the shipped fixture, its commands against the real parser."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "benchmarks" / "README.md"]


def blocks(language: str) -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for number, block in enumerate(re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.S | re.M)):
            found.append((f"{page.name}:{number}", block))
    return found


PYTHON = blocks("python")
COMMANDS = sorted(
    {
        shlex.join(shlex.split(line, comments=True))
        for _, block in blocks("sh")
        for line in block.splitlines()
        if line.split(maxsplit=1)[:1] == ["modelyard"]
    }
)


def test_there_is_documentation_to_run() -> None:
    assert PYTHON
    assert len(COMMANDS) >= 4


@pytest.mark.parametrize("block", [block for _, block in PYTHON], ids=[name for name, _ in PYTHON])
def test_python_of_the_documentation_runs(block: str, tmp_path: Path) -> None:
    if "def test_" in block:
        (tmp_path / "test_shown.py").write_text(block)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path / "test_shown.py")]
    else:
        (tmp_path / "shown.py").write_text(block)
        command = [sys.executable, str(tmp_path / "shown.py")]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_the_documentation_exist(command: str) -> None:
    words = shlex.split(command)[1:]
    run = subprocess.run(
        [sys.executable, "-m", "modelyard", *words, "--help"], capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_links_of_the_documentation_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name} links to {target}"
