"""A real endpoint process for tests: started as a pool's supervisor starts it, spoken to in frames."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from modelyard.base.disk import connect_unix, listen_unix
from modelyard.serving.wire import FrameParser, Reply, decode_meta, encode_meta, receive_frame, send_frame

SKLEARN = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
XGBOOST = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
PYTORCH = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.1-cpu-py310"


class EndpointProcess:
    """One worker over ``folder``: ``folder/ml/model`` and ``folder/ml/code`` are what it serves, without a sandbox."""

    def __init__(
        self, folder: Path, image: str, program: str | None = None, variables: Mapping[str, str] | None = None
    ):
        self.folder = folder
        self.log = folder / "log"
        (folder / "out").mkdir(parents=True, exist_ok=True)
        for name in ("model", "code"):
            (folder / "ml" / name).mkdir(parents=True, exist_ok=True)
        document = {
            "endpoint": "flowers",
            "variant": "AllTraffic",
            "worker": "w1",
            "log_stream": "AllTraffic/w1",
            "image": image,
            "model": "/opt/ml/model",
            "code": "/opt/ml/code" if program else None,
            "program": program,
            "body_limit": 1 << 20,
        }
        (folder / "worker.json").write_text(json.dumps(document))
        self._variables = dict(variables or {})
        self._parser = FrameParser()

    def __enter__(self) -> Self:
        self.start()
        self.wait_ready()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        self.connection.close()

    def start(self) -> None:
        listener = listen_unix(self.folder / "socket")
        own = {
            "MODELYARD_LISTEN_FD": str(listener.fileno()),
            "MODELYARD_RUN": str(self.folder),
            "MODELYARD_ML": str(self.folder / "ml"),
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "modelyard.app.endpoint"],
                env=os.environ | own | self._variables,
                pass_fds=[listener.fileno()],
                stdout=log,
                stderr=log,
            )
        listener.close()
        self.connection = connect_unix(self.folder / "socket", timeout=60)

    def wait_ready(self, timeout: float = 60) -> None:
        end = time.monotonic() + timeout
        while not (self.folder / "out" / "ready").exists():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.01)

    def ask(self, *bodies: bytes, **meta: str) -> list[Reply]:
        """One frame of requests, all with the same meta; underscores in its names are hyphens."""
        raw = encode_meta({name.replace("_", "-"): value for name, value in meta.items()})
        send_frame(self.connection, [(0, raw, body) for body in bodies])
        frame = receive_frame(self.connection, self._parser)
        assert frame is not None, self.log.read_text()
        return [Reply(code, body, decode_meta(answer)) for code, answer, body in frame]

    def one(self, body: bytes, **meta: str) -> Reply:
        return self.ask(body, **meta)[0]

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)
