"""A server process for tests: started on a free port, spoken to with real clients, ended or killed.

Owns the process, nothing of its content. The same class serves the shipped fixture and our own tests.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from modelyard.core.identity.variables import client_variables


class RunningServer:
    """``modelyard serve`` on ``data_dir`` and a free port of 127.0.0.1.

    With port 0 it takes one itself: ``port`` and ``url`` say which once it is ready. ``settings`` are MODELYARD_*
    variables without the prefix, e.g. ``{"ACCOUNT_ID": "123456789012"}``; ``tls`` are files of a certificate for
    127.0.0.1, which clients then trust, and of its key.
    """

    def __init__(
        self,
        data_dir: Path,
        ephemeral: bool = False,
        port: int | None = None,
        settings: dict[str, str] | None = None,
        options: tuple[str, ...] = (),
        tls: tuple[Path, Path] | None = None,
    ) -> None:
        self.data_dir = data_dir
        self.port = free_port() if port is None else port
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._certificate = tls[0] if tls else None
        self._ephemeral = ephemeral
        self._settings = settings or {}
        self._options = (*options, *(("--tls-cert", str(tls[0]), "--tls-key", str(tls[1])) if tls else ()))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, timeout: float = 30) -> Self:
        """Start the process and wait until it is ready. Raises RuntimeError with its output when it ends, or is not
        ready in time; it is then told to end."""
        command = [sys.executable, "-m", "modelyard", "serve", "--data-dir", str(self.data_dir)]
        command += ["--port", str(self.port), *(["--ephemeral"] if self._ephemeral else []), *self._options]
        variables = os.environ | {f"MODELYARD_{name}": value for name, value in self._settings.items()}
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        self.output = self.data_dir.with_name(self.data_dir.name + ".out")
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                command, env=variables, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        try:
            self.wait_ready(timeout)
        except BaseException:
            self._process.terminate()  # nobody else will: whoever starts it in a with statement has not entered it
            raise
        return self

    def wait_ready(self, timeout: float = 30) -> None:
        """Return when ``/health`` answers 200."""
        assert self._process is not None
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended with {self._process.returncode}: {self.log()}")
            if self.healthy():
                return
            time.sleep(0.02)
        raise RuntimeError(f"the server was not ready after {timeout} s: {self.log()}")

    def healthy(self) -> bool:
        """Whether ``/health`` answers 200 now."""
        try:
            if self.port == 0:
                self.url = json.loads((self.data_dir / "run" / "server.json").read_text())["url"]
                self.port = int(self.url.rpartition(":")[2])
            trusted = ssl.create_default_context(cafile=self._certificate) if self._certificate else None
            with urllib.request.urlopen(f"{self.url}/health", timeout=5, context=trusted) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def log(self) -> str:
        """What the process has printed."""
        return self.output.read_text(errors="replace")[-4000:]

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point clients here."""
        key = json.loads((self.data_dir / "keys" / "credentials.json").read_text())
        return client_variables(self.url, key["region"], key["access_key"], key["secret"])

    def client(self, service: str, **options: Any) -> Any:
        """A boto3 client of this server."""
        import boto3  # noqa: PLC0415

        variables = self.environment
        if self._certificate is not None:
            options.setdefault("verify", str(self._certificate))
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=variables["AWS_DEFAULT_REGION"],
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            **options,
        )

    def reset(self) -> None:
        """Stop and delete everything an ephemeral server holds; returns when that is done."""
        request = urllib.request.Request(f"{self.url}/_modelyard/reset", method="POST")
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.status == 200

    def kill(self) -> None:
        """kill -9 of the server process alone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self, timeout: float = 60) -> int:
        """SIGTERM, and wait; its exit code."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
