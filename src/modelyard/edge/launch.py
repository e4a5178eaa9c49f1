"""Starting a front that outlives its server, finding the one that lives, ending it.

A front holds the flock on front.lock for its life and says in front.json who it is and how it was started. The next
server adopts a front started the same way, and replaces one that listens elsewhere. Refuses to know what a front does.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from modelyard.base.clock import Clock
from modelyard.base.disk import is_locked
from modelyard.base.errors import Unavailable
from modelyard.edge.front import Listening

START = 15.0
"""Seconds in which a front must listen."""
LOOK = 0.01
"""Seconds between two looks at something that is waited for."""


@dataclass(frozen=True, slots=True)
class FrontOptions:
    """How a front is started. ``run`` is the data directory's folder of sockets and locks; ``patience`` the seconds
    it lives without a server; ``account`` and ``region`` are those that error messages of predictions name."""

    run: Path
    listening: Listening
    patience: float = 900.0
    account: str = "000000000000"
    region: str = "us-east-1"

    def to_json(self) -> dict[str, Any]:
        listening = asdict(self.listening)
        texts = {name: str(value) if isinstance(value, Path) else value for name, value in listening.items()}
        return {
            "run": str(self.run),
            "listening": texts,
            "patience": self.patience,
            "account": self.account,
            "region": self.region,
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> FrontOptions:
        """The options of such a document. Raises KeyError, TypeError for another one."""
        given = document["listening"]
        paths = {name: Path(given[name]) if given[name] else None for name in ("tls_cert", "tls_key")}
        listening = Listening(given["host"], given["port"], **paths)
        rest = {name: document[name] for name in ("patience", "account", "region")}
        return cls(run=Path(document["run"]), listening=listening, **rest)


class FrontLauncher:
    """Not thread-safe: one thread calls ``ensure`` again and again, and ``stop`` at the end."""

    def __init__(
        self,
        options: FrontOptions,
        clock: Clock,
        command: tuple[str, ...] = (sys.executable, "-m", "modelyard.app.front"),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._options = options
        self._clock = clock
        self._command = command
        self._sleep = sleep
        self._process: subprocess.Popen[bytes] | None = None
        self._port = options.listening.port
        """Where a front must listen: a port that was free once is the next front's too."""

    def ensure(self) -> bool:
        """See that a front with these options lives; whether one had to be started.

        Raises Unavailable, saying why, when it cannot be (the port is in use, the certificate is none).
        """
        self._reap()
        if self._lives():
            described = self._described()
            if self._fits(described.get("options")):
                self._port = described["port"]
                return False
            self.stop()
        self._start()
        self._port = self.address[1]
        return True

    def _fits(self, options: dict[str, Any] | None) -> bool:
        """Whether a front that was started so is the wanted one; where port 0 is wanted any port is."""
        if options and self._options.listening.port == 0:
            options = {**options, "listening": {**options["listening"], "port": 0}}
        return options == self._options.to_json()

    @property
    def address(self) -> tuple[str, int]:
        """Where the living front listens. Raises Unavailable when there is none."""
        described = self._described()
        if not described or not self._lives():
            raise Unavailable(what="the front does not run")
        return described["host"], described["port"]

    def stop(self, timeout: float = 15.0) -> None:
        """End the living front: it answers what it has, then goes. Harmless when there is none."""
        described = self._described()
        if described and self._lives():
            # The flock is held by whoever wrote front.json, so this process id is no other's.
            with contextlib.suppress(ProcessLookupError):
                os.kill(described["pid"], signal.SIGTERM)
            if not self._wait(lambda: not self._lives(), timeout):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(described["pid"], signal.SIGKILL)
                self._wait(lambda: not self._lives(), 5)
        self._reap()

    def _start(self) -> None:
        options = replace(self._options, listening=replace(self._options.listening, port=self._port))
        reading, writing = os.pipe()
        try:
            with (options.run / "front.log").open("ab") as log:
                self._process = subprocess.Popen(
                    [*self._command, "--options", json.dumps(options.to_json()), "--ready-fd", str(writing)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(writing,),
                    start_new_session=True,
                    cwd="/",
                )
            os.close(writing)
            writing = -1
            said = self._read(reading)
        finally:
            os.close(reading)
            if writing >= 0:
                os.close(writing)
        if said != "ready":
            self._process.kill()
            self._process.wait()
            self._process = None
            raise Unavailable(what=said or f"the front did not start; see {options.run / 'front.log'}")

    def _read(self, fd: int) -> str:
        """What the new front says of itself before it closes the pipe; nothing when it takes too long."""
        said = b""
        end = self._clock.monotonic() + START
        while self._clock.monotonic() < end:
            ready, _, _ = select.select([fd], [], [], LOOK)
            data = os.read(fd, 4096) if ready else None
            if data == b"":
                return said.decode(errors="replace").strip()
            said += data or b""
        return ""

    def _lives(self) -> bool:
        return is_locked(self._options.run / "front.lock")

    def _described(self) -> dict[str, Any]:
        """What the living front says of itself; nothing while it starts or when none has."""
        found: dict[str, Any] = {}

        def look() -> bool:
            with contextlib.suppress(OSError, ValueError):
                found.update(json.loads((self._options.run / "front.json").read_text()))
            return bool(found) or not self._lives()

        self._wait(look, 5)
        return found

    def _wait(self, done: Callable[[], bool], timeout: float) -> bool:
        end = self._clock.monotonic() + timeout
        while not done():
            if self._clock.monotonic() > end:
                return False
            self._sleep(LOOK)
        return True

    def _reap(self) -> None:
        if self._process is not None and self._process.poll() is not None:
            self._process = None
