"""The life of a front process: its lock, its port, its ear for the server, its end.

Owns the files front.lock, front.json, front.pid and front.sock of the run folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import signal
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

from modelyard.base.clock import Clock
from modelyard.base.disk import RealDisk, try_lock, write_durably
from modelyard.core.deployments.ports import InvocationCodec
from modelyard.edge.commands import ServerEar
from modelyard.edge.front import Front, Refuse
from modelyard.edge.launch import FrontOptions

_LOOK = 0.5


async def run_front(
    options: FrontOptions,
    codecs: Sequence[InvocationCodec],
    refuse: Refuse,
    clock: Clock,
    say: Callable[[str], None],
) -> int:
    """Run until SIGTERM or until no server has come for too long; the exit code.

    ``say`` is given "ready" once the port answers, or else the reason why it does not.
    """
    run = options.run
    lock = try_lock(run / "front.lock")
    if lock is None:
        say(f"another front runs on {run}")
        return 1
    for name in ("front.json", "front.pid"):
        (run / name).unlink(missing_ok=True)
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)

    def hung(endpoint_id: str, socket: str) -> None:
        ear.report_hung(endpoint_id, socket)

    front = Front(run / "server.sock", codecs, clock, hung, refuse)
    ear = ServerEar(run / "front.sock", front.take, clock, options.patience)
    try:
        host, port = await front.listen(options.listening)
        await ear.listen()
    except OSError as error:
        say(_why(options, error))
        return 1
    _describe(run, options, host, port)
    say("ready")
    try:
        while not ending.is_set() and not ear.is_forsaken:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ending.wait(), _LOOK)
    finally:
        ear.close()
        await front.close()
        for name in ("front.json", "front.pid"):
            (run / name).unlink(missing_ok=True)
        os.close(lock)
    return 0


def _describe(run: Path, options: FrontOptions, host: str, port: int) -> None:
    facts = {"pid": os.getpid(), "host": host, "port": port, "options": options.to_json()}
    (run / "front.pid").write_text(f"{os.getpid()}\n")
    write_durably(RealDisk(), run / "front.json", json.dumps(facts).encode())


def _why(options: FrontOptions, error: OSError) -> str:
    listening = options.listening
    if isinstance(error, ssl.SSLError):
        return f"{listening.tls_cert} and {listening.tls_key} are no certificate and its key: {error}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {listening.port} of {listening.host} is in use by another program; stop that, or choose another "
            "port with --port"
        )
    if error.errno == errno.EACCES:
        return f"port {listening.port} may not be opened by this user; choose one above 1023 with --port"
    return f"cannot listen on {listening.host}:{listening.port}: {error}"
