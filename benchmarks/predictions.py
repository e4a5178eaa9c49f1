"""Predictions a second of a constant model, signed and verified, against nginx's constant answer in the same run.

    python -m benchmarks.predictions

nginx (Debian package nginx-light) runs one worker and verifies nothing. The endpoint is isolated and has one worker.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.first_line import IMAGE
from benchmarks.peers import found
from benchmarks.signed import signed
from benchmarks.wrk import Load, load
from modelyard.testing.server import RunningServer, free_port
from tests.e2e.conftest import Journey

_SCRIPT = """
def model_fn(model_dir):
    return None

def transform_fn(model, body, content_type, accept):
    return b'[0]', 'application/json'

if __name__ == '__main__':
    import os
    open(os.environ['SM_MODEL_DIR'] + '/model', 'w').close()
"""

_NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  keepalive_requests 100000000;
  server {{ listen 127.0.0.1:{port}; location / {{ default_type application/json; return 200 '[0]'; }} }}
}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        RunningServer(Path(folder, "data")) as server,
        _nginx(Path(folder)) as port,
    ):
        path = f"/endpoints/{_deploy(server)}/invocations"
        headers = {"Content-Type": "application/json"}
        body = b"[[5.1,3.5,1.4,0.2]]"
        request = signed(server.port, server.environment, "POST", path, headers, body, "sagemaker")
        print(f"{os.cpu_count()} cores, wrk on the same cores; requests a second (median latency in us)")
        print(f"{'connections':>11} {'modelyard, SigV4':>20} {'nginx':>20} {'ratio':>6}")
        for connections in (1, 64):
            ours = load(server.port, [request], connections, options.seconds)
            theirs = Load(math.nan, 0, math.nan)
            if port is not None:
                asked = request.replace(str(server.port).encode(), str(port).encode())
                theirs = load(port, [asked], connections, options.seconds)
            assert not ours.failed + theirs.failed, "some requests failed"
            print(f"{connections:11} {ours.rate:12.0f} ({ours.median_us:4.0f}) {theirs.rate:12.0f} "
                  f"({theirs.median_us:4.0f}) {ours.rate / theirs.rate:6.2f}")  # fmt: skip


@contextmanager
def _nginx(folder: Path) -> Iterator[int | None]:
    """The port of an nginx; None where it is not installed."""
    if (program := found("nginx")) is None:
        yield None
        return
    port, configuration = free_port(), folder / "nginx.conf"
    configuration.write_text(_NGINX.format(folder=folder, port=port))
    nginx = subprocess.Popen([program, "-c", str(configuration)], stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        nginx.terminate()
        nginx.wait()


def _deploy(server: RunningServer) -> str:
    journey = Journey(server)
    source = journey.upload_source(_SCRIPT)
    journey.start_training(IMAGE, source)
    artifact = journey.wait()["ModelArtifacts"]["S3ModelArtifacts"]
    endpoint = journey.deploy(IMAGE, artifact, source)
    assert endpoint["EndpointStatus"] == "InService", endpoint
    return journey.name


if __name__ == "__main__":
    main()
