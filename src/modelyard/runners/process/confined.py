"""Running pip where it can harm nothing: building a source package runs that package's code.

Owns one sandboxed command with the network and one writable folder. Its supervisor outlives a killed server as
any does, so ``settle`` ends one that is still at work before its folder is built anew.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from modelyard.base.disk import RealDisk
from modelyard.core.jobs import logs
from modelyard.runners.process import records
from modelyard.runners.process.launch import launch
from modelyard.runners.process.limits import Limits
from modelyard.runners.process.networks import NO_PORTS
from modelyard.runners.process.rules import Rules, variables
from modelyard.runners.process.sandbox import ML, Bind, Box
from modelyard.runners.process.spec import Spec

_MEMORY = 4 << 30
_PAUSE = 0.02
_HERE = r"(?<![\w.-])(?:localhost|127\.0\.0\.1|\[::1\])"
_LOCAL = re.compile(rf"{_HERE}:(\d{{1,5}})")
_LOCAL_PLAIN = re.compile(rf"http(s?)://(?:[^/\s@]*@)?{_HERE}(?![\w.:])")


class Confined:
    """Thread-safe for different folders."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def available(self) -> bool:
        """Whether this machine gives sandboxes."""
        return self._rules.report().tier == "bubblewrap"

    def settle(self, target: Path) -> None:
        """End whatever still builds in ``target`` and forget it."""
        watched = _watched(target)
        while records.read(watched).state == "running":
            with contextlib.suppress(FileNotFoundError):
                records.ask_stop(RealDisk(), watched, 0, time.time())
            time.sleep(_PAUSE)
        shutil.rmtree(watched, ignore_errors=True)

    def run(
        self, command: Sequence[str], target: Path, given: Mapping[str, str], readable: Sequence[Path], timeout: float
    ) -> tuple[int | None, str]:
        """Run ``command`` with ``target`` writable at its own place and /tmp; its exit code (None: cut off by
        ``timeout`` seconds or refused) and what it printed."""
        watched = _watched(target)
        for folder in (watched / "ml", target / "tmp"):
            folder.mkdir(parents=True, exist_ok=True)
        words = tuple(command)
        box = Box(
            name="pip",
            log=str(watched / "log"),
            command=words,
            variables=variables(given, words),
            binds=(
                Bind(str(watched / "ml"), ML, "rw"),
                Bind(str(target), str(target), "rw"),
                Bind(str(target / "tmp"), "/tmp", "rw"),  # noqa: S108
                *self._rules.readable(readable),
            ),
            hidden=tuple(path for path in self._rules.covers() if Path(path) not in readable),
            private_network=False,
        )
        spec = Spec(
            id=f"build-{target.name}",
            folder=str(watched),
            boxes=(box,),
            limits=Limits(memory=_MEMORY),
            tier="none",
            owned=(str(target), str(watched / "ml")),
            deadline=time.time() + timeout,
            grace=0,
            uplink=NO_PORTS._replace(ports=_local_ports([*command, *given.values(), *_texts(readable)])),
        )
        launch(self._rules.supervisor, self._rules.sandboxed(spec))
        while (state := records.read(watched)).state == "running":
            time.sleep(_PAUSE)
        printed = logs.text(watched / "log")
        code = state.exit.get("code") if state.state == "exited" and state.exit.get("reason") == "exited" else None
        shutil.rmtree(watched, ignore_errors=True)
        shutil.rmtree(target / "tmp", ignore_errors=True)
        _own(target)
        return code, printed or str(state.exit.get("message", ""))


def _texts(paths: Sequence[Path]) -> list[str]:
    return [path.read_text("utf-8", "replace") for path in paths if path.is_file() and path.suffix == ".conf"]


def _local_ports(texts: Sequence[str]) -> tuple[int, ...]:
    """The ports of this machine's loopback that settings of pip name: an index or a proxy of its own.

    >>> _local_ports(["index-url = http://me@localhost:3141/simple", "https://127.0.0.1/", "https://pypi.org:444"])
    (443, 3141)
    """
    found = {int(port) for text in texts for port in _LOCAL.findall(text)}
    found |= {443 if secure else 80 for text in texts for secure in _LOCAL_PLAIN.findall(text)}
    return tuple(sorted(port for port in found if 0 < port < 1 << 16))


def _watched(target: Path) -> Path:
    return target.with_name(f"{target.name}.build")


def _own(target: Path) -> None:
    """Take back what was given to the sandbox's user."""
    if os.geteuid() != 0:
        return
    for folder, folders, names in os.walk(target):
        for name in (".", *folders, *names):
            os.chown(os.path.join(folder, name), 0, 0, follow_symlinks=False)  # noqa: PTH118
