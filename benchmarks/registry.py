"""Describe, create and list of models a second, against moto_server in the same run.

    python -m benchmarks.registry [--moto-server PATH/moto_server]

Both are asked the same signed requests by wrk. Targets: describe 40, create 3 and list 500 times moto's rate,
and the same rate with 100 models stored as with 10,000.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import random
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from benchmarks.peers import found
from benchmarks.signed import sagemaker_request
from benchmarks.wrk import load
from modelyard.testing.server import RunningServer, free_port

_TARGETS = {"describe": 40.0, "create": 3.0, "list": 500.0}
_FRESH = itertools.count()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moto-server", default="moto_server", help="the executable")
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--stored", type=int, nargs="+", default=[100, 10_000])
    parser.add_argument("--fresh", type=int, default=20_000, help="names at most that create uses up")
    options = parser.parse_args()
    rates: dict[tuple[str, int, str], float] = {}
    with tempfile.TemporaryDirectory() as folder, RunningServer(Path(folder, "data")) as server:
        _measure("modelyard", server.port, server.environment, options, rates)
        if (program := found(options.moto_server)) is not None:
            port = free_port()
            moto = subprocess.Popen([program, "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                _wait(port)
                _measure("moto", port, server.environment, options, rates)
            finally:
                moto.terminate()
                moto.wait()
    _print(rates, options.stored)


def _measure(
    who: str, port: int, environment: dict[str, str], options: argparse.Namespace,
    rates: dict[tuple[str, int, str], float],
) -> None:  # fmt: skip
    stored: list[str] = []
    for count in options.stored:
        while len(stored) < count:
            names = [f"model-{who}-{number:06d}" for number in range(len(stored), min(count, len(stored) + 2000))]
            _create_all(port, environment, names)
            stored += names
        chosen = random.Random(1).choices(stored, k=500)
        describe = [sagemaker_request(port, environment, "DescribeModel", {"ModelName": name}) for name in chosen]
        rates[who, count, "describe"] = _rate(port, describe, options.seconds)
        listing = [sagemaker_request(port, environment, "ListModels", {"MaxResults": 10})]
        rates[who, count, "list"] = _rate(port, listing, options.seconds)
        fresh = [_create(port, environment, f"new-{next(_FRESH):07d}") for _ in range(options.fresh)]
        rates[who, count, "create"] = _rate(port, fresh, min(options.seconds, 4))


def _rate(port: int, requests: list[bytes], seconds: float) -> float:
    result = load(port, requests, connections=16, seconds=seconds)
    if result.failed:
        raise SystemExit(f"{result.failed} requests failed")
    return result.rate


def _create(port: int, environment: dict[str, str], name: str) -> bytes:
    document = {
        "ModelName": name,
        "ExecutionRoleArn": "arn:aws:iam::000000000000:role/ModelyardRole",
        "PrimaryContainer": {"Image": "modelyard/serving:1", "ModelDataUrl": "s3://bucket/model.tar.gz"},
    }
    return sagemaker_request(port, environment, "CreateModel", document)


def _create_all(port: int, environment: dict[str, str], names: list[str]) -> None:
    for name in names:
        raw = _create(port, environment, name)
        head, _, body = raw.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        request = urllib.request.Request(f"http://127.0.0.1:{port}/", data=body, headers=headers, method="POST")
        urllib.request.urlopen(request, timeout=30).read()


def _wait(port: int) -> None:
    for _ in range(200):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/", timeout=5).read()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("moto_server did not start")


def _print(rates: dict[tuple[str, int, str], float], stored: list[int]) -> None:
    print(f"{os.cpu_count()} cores; requests a second, wrk with 16 connections on the same cores")
    print(f"{'operation':10} {'stored':>7} {'modelyard':>10} {'moto':>8} {'ratio':>7} {'target':>7}")
    for operation, target in _TARGETS.items():
        for count in stored:
            ours, theirs = rates["modelyard", count, operation], rates.get(("moto", count, operation), math.nan)
            ratio = ours / theirs if theirs else float("inf")  # moto may answer none in these seconds
            verdict = "pass" if ratio >= target else "miss"
            print(f"{operation:10} {count:7} {ours:10.0f} {theirs:8.1f} {ratio:7.1f} {target:7.0f} {verdict}")


if __name__ == "__main__":
    main()
