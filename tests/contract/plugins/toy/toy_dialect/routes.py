"""The toy dialect's door: the names of the jobs there are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import Executor

from modelyard.core.jobs.model import JobQuery
from modelyard.dialects.plugin import Core, Dialect, Door
from modelyard.edge.http import Request, Response


class ToyDoor:
    def __init__(self, core: Core) -> None:
        self._core = core

    def claims(self, request: Request) -> bool:
        return request.raw_path.startswith("/toy/")

    async def handle(self, request: Request) -> Response:
        jobs = self._core.jobs.list(JobQuery()).items
        return Response(200, (("content-type", "application/json"),), json.dumps([job.name for job in jobs]).encode())


def open_doors(core: Core, _threads: Executor) -> Sequence[Door]:
    return (ToyDoor(core),)


DIALECT = Dialect(open_doors)
