"""Run a command as a normal user where the tests run as root: ``python normal_user.py COMMAND...``.

The interpreter may lie where only root may enter (/root): such folders are covered, in mounts of this process's
own, by an empty one that shows just the interpreter and this repository. /dev/net/tun is open to everyone there, as
most systems have it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "src"))
USER = 61_234


def as_normal_user(command: list[str]) -> list[str]:
    """``command`` as a normal user runs it."""
    return command if os.geteuid() != 0 else [sys.executable, __file__, *command]


def make_reachable(needed: list[Path]) -> None:
    """Open the way to each of ``needed`` for everyone, for this process and its children alone."""
    from modelyard.runners.process import kernel, networks

    kernel.own_mounts()
    networks.open_tunnels()
    closed: dict[Path, list[Path]] = {}
    for path in needed:
        shut = [folder for folder in reversed(path.parents) if not folder.stat().st_mode & 0o001]
        if shut:
            closed.setdefault(shut[0], []).append(path)
    for folder, paths in closed.items():
        opened = {path: os.open(path, os.O_PATH) for path in paths}
        kernel.mount_memory(str(folder))
        for path, descriptor in opened.items():
            path.mkdir(parents=True, exist_ok=True)
            kernel.bind(descriptor, str(path))


def main(command: list[str]) -> None:
    make_reachable([Path(sys.base_prefix), Path(sys.prefix), REPOSITORY])
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    environment = {"HOME": "/nonexistent", "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    os.execve(command[0], command, environment)


if __name__ == "__main__":
    main(sys.argv[1:])
