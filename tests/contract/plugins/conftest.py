"""Distributions for the tests, put on the path of a server: the page's example as pip installs it, others as folders
with code and a dist-info beside it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from modelyard.testing.server import RunningServer

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "docs" / "plugins.md"


def documented() -> dict[str, str]:
    """The files of the example in docs/plugins.md, by their names."""
    return dict(re.findall(r"^`([\w./]+)`\n\n```\w+\n(.*?)^```", PAGE.read_text(), re.S | re.M))


def toys(folder: Path) -> Path:
    """The example, installed by pip from what the page shows and nothing else."""
    for name, text in documented().items():
        path = folder / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(folder / "site"), "."]
    pip = subprocess.run(command, cwd=folder / "source", capture_output=True, text=True, check=False)
    assert pip.returncode == 0, pip.stdout + pip.stderr
    return folder / "site"


def toy_runner(folder: Path) -> Path:
    """A runner, which the page has none of, as it would be installed."""
    distribute(folder, "toyrunner", {"modelyard.runners:toy": "toy_runner"})
    shutil.copytree(HERE / "toy_runner", folder / "toy_runner")
    return folder


def distribute(
    folder: Path, name: str, entry_points: Mapping[str, str], files: Mapping[str, str] | None = None
) -> None:
    """A distribution in ``folder``: ``entry_points`` are ``group:name`` and value, ``files`` its modules."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = []
    for key, value in entry_points.items():
        group, _, entry = key.partition(":")
        lines += [f"[{group}]", f"{entry} = {value}"]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    for path, text in (files or {}).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


@contextmanager
def on_path(*folders: Path) -> Iterator[None]:
    """These folders on the path of every process that is started meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, folders)))
        yield


@contextmanager
def served(folder: Path, *folders: Path, **settings: str) -> Iterator[RunningServer]:
    with on_path(*folders), RunningServer(folder / "data", settings=settings) as server:
        yield server
