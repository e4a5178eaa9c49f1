"""A server for a command that needs one: the one that runs on this data directory, or a new process.

Owns the process that it starts, until the command stops it or leaves it. Refuses to know what the command wants.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass

from modelyard.app.layout import Layout
from modelyard.app.settings import Settings
from modelyard.base.disk import is_locked
from modelyard.base.errors import Unavailable


@dataclass(frozen=True, slots=True)
class LaunchedServer:
    """A server that answers. ``started_here``: this command started it and may stop it."""

    url: str
    pid: int
    started_here: bool

    def stop(self, timeout: float = 60) -> None:
        """SIGTERM, and wait until the process is gone."""
        os.kill(self.pid, signal.SIGTERM)
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(self.pid, os.WNOHANG)[0]:
                    return
            time.sleep(0.02)
        raise Unavailable(what=f"the server (pid {self.pid}) has not ended {timeout:.0f} s after SIGTERM")


def launch(settings: Settings, timeout: float = 30) -> LaunchedServer:
    """The running server of this data directory, or a new one on the settings' port, ready to answer.

    Raises Unavailable, with the server's last lines, when it does not come up.
    """
    layout = Layout(settings.data_dir)
    if is_locked(layout.server_lock):
        return _running(layout)
    new = not layout.root.exists()
    layout.make()
    log = layout.run / "server.log"
    command = [sys.executable, "-m", "modelyard", "serve", "--data-dir", str(settings.data_dir)]
    command += ["--host", settings.host, "--port", str(settings.port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        if url := _awaited(process, layout, timeout):
            return LaunchedServer(url, process.pid, started_here=True)
    except KeyboardInterrupt:
        process.terminate()
        raise
    ended = process.poll() is not None
    process.terminate()
    last = log.read_text(errors="replace").strip().rpartition("\n")[2].removeprefix("modelyard: ")
    if new and ended:
        shutil.rmtree(layout.root, ignore_errors=True)
        raise Unavailable(what=f"the server did not start: {last or 'it said nothing'}")
    raise Unavailable(what=f"the server did not start: {last or 'it said nothing'} (see {log})")


def _awaited(process: subprocess.Popen[bytes], layout: Layout, timeout: float) -> str | None:
    """Where the new server answers, once it does; None when it ends or the time does."""
    end = time.monotonic() + timeout
    while time.monotonic() < end and process.poll() is None:
        url = described_url(layout)
        if url is not None and _healthy(url):
            return url
        time.sleep(0.05)
    return None


def described_url(layout: Layout) -> str | None:
    """Where the server of this data directory says that it answers; None when there is none."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        return str(json.loads((layout.run / "server.json").read_text())["url"])
    return None


def server_url(settings: Settings, port: int | None = None) -> str:
    """The URL at which clients on this machine reach a server with these settings; ``port`` is the one it took where
    the setting is 0."""
    scheme = "https" if settings.tls_cert else "http"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}:{settings.port if port is None else port}"


def _running(layout: Layout) -> LaunchedServer:
    end = time.monotonic() + 10
    described = layout.run / "server.json"
    while time.monotonic() < end:
        with contextlib.suppress(FileNotFoundError, ValueError):
            facts = json.loads(described.read_text())
            if _healthy(facts["url"]):
                return LaunchedServer(facts["url"], facts["pid"], started_here=False)
        time.sleep(0.05)
    raise Unavailable(what=f"a server runs on {layout.root} but does not answer; stop it and try again")


def _healthy(url: str) -> bool:
    # On this machine the lock says whose server it is; its certificate may be its own and name other hosts.
    whatever = ssl.create_default_context()
    whatever.check_hostname, whatever.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5, context=whatever) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
