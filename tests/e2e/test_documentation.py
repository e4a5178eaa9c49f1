"""What the documentation shows is run: its Python with the shipped fixture, its commands beside a real server."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from modelyard.testing.server import RunningServer
from tests.clients.environments import program

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "benchmarks" / "README.md"]

FILE = r"(?ms)^`([\w./]+)`\n\n```\w+\n(.*?)^```\n"
"""A block below a file's name belongs to that file, and runs as the page's commands say."""


def blocks(language: str) -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        text = re.sub(FILE, "", page.read_text())
        for number, block in enumerate(re.findall(rf"^```{language}\n(.*?)^```", text, re.S | re.M)):
            found.append((f"{page.name}:{number}", block))
    return found


def files(page: Path) -> dict[str, str]:
    """The files that a page shows, each below its name: what the page's commands need beside them."""
    return dict(re.findall(FILE, page.read_text()))


PYTHON = blocks("python")
SHELL = blocks("sh")

ELSEWHERE = {
    "README.md:0": "installs from the network: .ci/run runs it as it stands, in a clone; here runs what it does then",
    "plugins.md:0": "tests/contract/plugins installs that page's files so, into a folder of its own",
    "README.md:1": "these very tests: .ci/run runs what `make test` is made of",
}
"""Blocks that are not run here, and why."""


def test_there_is_documentation_to_run() -> None:
    assert PYTHON
    assert len(SHELL) >= 4
    assert set(ELSEWHERE) <= {name for name, _ in SHELL}


def test_ci_runs_what_is_not_run_here() -> None:
    script, makefile = (ROOT / ".ci" / "run").read_text(), (ROOT / "Makefile").read_text()
    assert "README.md" in script
    suites = re.search(r"^for suite in (.*); do", script, re.M)
    check, test = (re.search(rf"^{target}: (.*)$", makefile, re.M) for target in ("check", "test"))
    assert suites and check and test
    assert set(suites[1].split()) == {*check[1].split(), *test[1].split()} - {"check"}


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


@pytest.mark.parametrize("page", sorted({name.partition(":")[0] for name, _ in SHELL}))
def test_shell_of_the_documentation_runs(page: str, tmp_path: Path) -> None:
    """A page's blocks one after the other, as a user would type them; only the data directory and the port are ours.

    Every page is read beside a server: its own, or else one that is started before.
    """
    server = RunningServer(tmp_path / "data")
    (tmp_path / "work").mkdir()
    for name, text in next(files(found) for found in PAGES if found.name == page).items():
        path = tmp_path / "work" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    try:
        if not any(name.startswith(page) and is_server(block) for name, block in SHELL):
            server.start()
        for name, block in SHELL:
            if not name.startswith(page):
                continue
            if name == "README.md:0":
                typed(block.rpartition(".venv/bin/")[2], server, tmp_path)
            elif is_server(block):
                server.start()
            elif name not in ELSEWHERE:
                typed(block, server, tmp_path)
    finally:
        server.stop()


def is_server(block: str) -> bool:
    """Whether this block goes on until somebody stops it."""
    return shlex.split(block, comments=True) == ["modelyard", "serve"]


def typed(block: str, server: RunningServer, folder: Path) -> None:
    """Run a block in a shell that knows ``modelyard`` and ``aws`` and has a home of its own."""
    programs = [str(Path(sys.executable).parent), str(Path(program("awscli", "aws")).parent)]
    variables = {
        "PATH": os.pathsep.join([*programs, os.environ["PATH"]]),
        "HOME": str(folder),
        "AWS_PAGER": "",
        "MODELYARD_DATA_DIR": str(server.data_dir),
        "MODELYARD_PORT": str(server.port),
    }
    run = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        env=variables,
        cwd=folder / "work",
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_links_of_the_documentation_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
            if target.startswith("http"):
                continue
            path, _, heading = target.partition("#")
            aim = page.parent / path if path else page
            assert aim.exists(), f"{page.name} links to {target}"
            assert not heading or heading in headings(aim), f"{page.name} links to {target}"


def headings(page: Path) -> set[str]:
    """The names by which links reach a page's headings."""
    found = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in found}
