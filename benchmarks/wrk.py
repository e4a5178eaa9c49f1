"""A load of prepared HTTP requests through wrk (Debian package ``wrk``), whose cost beside the server is small.

wrk's Lua cannot sign, so requests are signed before and replayed byte for byte, one after the other.
"""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_SCRIPT = """
local requests = {}
function init(args)
  local file = assert(io.open(args[1], "rb"))
  while true do
    local head = file:read(4)
    if not head then break end
    local a, b, c, d = head:byte(1, 4)
    requests[#requests + 1] = file:read(((a * 256 + b) * 256 + c) * 256 + d)
  end
  next_request = 0
end
function request()
  next_request = next_request % #requests + 1
  return requests[next_request]
end
function done(summary, latency)
  io.write(string.format("RESULT %d %d %d %d\\n", summary.requests, summary.duration,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout,
    latency:percentile(50)))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """Requests a second, how many of them failed, and the median latency in microseconds."""

    rate: float
    failed: int
    median_us: float


def load(port: int, requests: Sequence[bytes], connections: int = 16, seconds: float = 4) -> Load:
    """Replay ``requests`` in a circle over ``connections`` for ``seconds``."""
    if shutil.which("wrk") is None:
        raise SystemExit("this benchmark needs wrk: apt-get install wrk")
    with tempfile.TemporaryDirectory() as folder:
        script, data = Path(folder, "replay.lua"), Path(folder, "requests")
        script.write_text(_SCRIPT)
        data.write_bytes(b"".join(struct.pack(">I", len(one)) + one for one in requests))
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "30s", "-s", str(script)]
        output = subprocess.run(
            [*command, f"http://127.0.0.1:{port}/", "--", str(data)], capture_output=True, text=True, check=True
        ).stdout
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+)", output)
    assert found, output
    total, duration, failed, median = map(float, found.groups())
    return Load(total / (duration / 1e6), int(failed), median)
