"""``modelyard serve``: the process that a user starts, from its lock to its last clean step.

Owns the order of a start (lock, front, core, socket, loops) and of an end (loops, jobs, endpoints, socket,
front). Killed at any point it loses nothing: the next start adopts what lives.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

import uvloop

from modelyard.app import heap
from modelyard.app.fronts import Front, answers_anonymous, is_loopback
from modelyard.app.house import default_key, open_house
from modelyard.app.http import Doors
from modelyard.app.launch import server_url
from modelyard.app.layout import Layout
from modelyard.app.reset import ResetDoor
from modelyard.app.settings import Settings
from modelyard.app.yard import Yard
from modelyard.base.disk import RealDisk, listen_unix, try_lock, write_durably
from modelyard.base.errors import Conflict, Invalid
from modelyard.edge.backend import Backend

_log = logging.getLogger(__name__)


def serve(given: dict[str, Any], ephemeral: bool = False) -> int:
    """Run until SIGTERM or Ctrl-C; the exit code. Raises ModelyardError, saying why, when it cannot start."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if ephemeral and "data_dir" not in given:
        with tempfile.TemporaryDirectory(prefix="modelyard-", ignore_cleanup_errors=True) as made:
            return _locked(_settings(given | {"data_dir": Path(made)}), ephemeral)
    settings = _settings(given)
    if ephemeral and settings.data_dir.exists() and any(settings.data_dir.iterdir()):
        raise _not_empty(settings)
    return _locked(settings, ephemeral)


def _settings(given: dict[str, Any]) -> Settings:
    settings = Settings(**given)
    if (settings.tls_cert is None) != (settings.tls_key is None):
        lacking = "--tls-cert" if settings.tls_cert is None else "--tls-key"
        raise Invalid(what=f"--tls-cert and --tls-key go together, and {lacking} is not given")
    for option, path in (("--tls-cert", settings.tls_cert), ("--tls-key", settings.tls_key)):
        if path is not None and not path.is_file():
            raise Invalid(what=f"{option} names {path}, and there is no such file")
    return settings


def _not_empty(settings: Settings) -> Invalid:
    return Invalid(what=f"{settings.data_dir} is not empty: --ephemeral would delete what is in it")


def _locked(settings: Settings, ephemeral: bool) -> int:
    layout = Layout(settings.data_dir)
    new = not layout.root.exists()
    layout.make()
    lock = try_lock(layout.server_lock)
    if lock is None:
        raise Conflict(
            what=f"a server already runs on {settings.data_dir} ({_who(layout)}); stop it or name another folder"
        )
    if ephemeral and layout.catalogue.exists():
        # Somebody else's data came between the look into the folder and its lock.
        os.close(lock)
        raise _not_empty(settings)
    serving = _Serving(settings, layout, ephemeral)
    try:
        heap.for_starting()
        (layout.run / "server.pid").write_text(f"{os.getpid()}\n")
        (layout.run / "server.json").unlink(missing_ok=True)
        return uvloop.run(serving.run())
    finally:
        (layout.run / "server.json").unlink(missing_ok=True)
        (layout.run / "server.pid").unlink(missing_ok=True)
        if ephemeral or (new and not serving.answered):
            # Nobody had a use of what a start that failed made, and it would look like an installation.
            shutil.rmtree(layout.root, ignore_errors=True)
        os.close(lock)


def _who(layout: Layout) -> str:
    with contextlib.suppress(OSError, ValueError):
        return f"pid {int((layout.run / 'server.pid').read_text())}"
    return "starting"


class _Serving:
    """One run of the server in its event loop."""

    def __init__(self, settings: Settings, layout: Layout, ephemeral: bool) -> None:
        self._settings = settings
        self._layout = layout
        self._ephemeral = ephemeral
        self._url = server_url(settings)
        self._ending = asyncio.Event()
        self._hurried = ephemeral
        self.answered = False
        """Whether it has been ready."""

    async def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._signalled)
        self._front = Front(self._settings, self._layout)
        try:
            starting = asyncio.create_task(asyncio.to_thread(self._front.start))
            if self._settings.port == 0:
                # Only the front knows which port it took, and the yard tells jobs.
                await starting
                self._url = server_url(self._settings, self._front.port)
            _, self._yard = await asyncio.gather(starting, asyncio.to_thread(self._open_yard))
            return await self._with_front()
        finally:
            await asyncio.to_thread(self._front.stop)

    async def _with_front(self) -> int:
        self._front.attach(self._yard.house)
        self._doors = Doors(())
        self._open_doors()
        backend = Backend(self._doors)
        await backend.listen(listen_unix(self._layout.server_socket))
        self._yard.start()
        heap.for_serving()
        self.answered = True
        self._say_ready()
        await self._ending.wait()
        _log.info("stopping; running jobs are told to end (once more Ctrl-C leaves them no time)")
        await asyncio.to_thread(self._yard.stop, lambda: self._hurried)
        await backend.close()
        return 0

    def _signalled(self) -> None:
        self._hurried |= self._ending.is_set()
        self._ending.set()

    def _open_yard(self) -> Yard:
        house = open_house(self._settings)
        default_key(house)
        return Yard(house, self._front.routes, self._url)

    def _open_doors(self) -> None:
        doors = self._yard.doors
        self._doors.doors = (
            (ResetDoor(self._reset, answers_anonymous(self._settings)), *doors) if self._ephemeral else doors
        )

    async def _reset(self) -> None:
        """Stop and delete everything but the keys; the next yard takes the place of this one."""
        await asyncio.to_thread(self._empty)
        self._open_doors()

    def _empty(self) -> None:
        kept = self._yard.house.keys.rows()
        self._yard.stop(lambda: True)
        for folder in (self._layout.blobs, self._layout.jobs, self._layout.endpoints, self._layout.environments):
            shutil.rmtree(folder)
        for part in self._layout.root.glob("catalogue.db*"):
            part.unlink()
        house = open_house(self._settings)
        house.keys.restore(kept)
        self._front.attach(house)
        self._yard = Yard(house, self._front.routes, self._url)
        self._yard.start()

    def _say_ready(self) -> None:
        facts = {"url": self._url, "pid": os.getpid()}
        write_durably(RealDisk(), self._layout.run / "server.json", json.dumps(facts).encode())
        _log.info("Modelyard answers at %s and keeps its data in %s", self._url, self._settings.data_dir)
        if self._settings.tls_cert is None and not is_loopback(self._settings.host):
            _log.warning(
                "%s is open to the network without TLS: data and predictions travel readable by others; "
                "give --tls-cert and --tls-key",
                self._settings.host,
            )
