"""Everything that the server process runs over one data directory: core, controllers and doors.

Owns their composition, their start and their end. A reset ends one yard and makes the next in its place.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from modelyard.app.controllers import Controllers
from modelyard.app.house import House
from modelyard.app.loops import Loop
from modelyard.app.plugins import open_doors
from modelyard.core.deployments.ports import Routes


class Yard:
    """``routes`` is the front's table; ``url`` where jobs reach this server."""

    def __init__(self, house: House, routes: Routes, url: str) -> None:
        self.house = house
        self._threads = ThreadPoolExecutor(max(16, 4 * (os.cpu_count() or 1)), thread_name_prefix="calls")
        self.controllers = Controllers(house, routes, url)
        self.doors = open_doors(house, self._threads)
        self._keys = Loop("keys", house.keys.refresh, 0.5)

    def start(self) -> None:
        self.controllers.start()
        self._keys.start()

    def stop(self, hurried: Callable[[], bool]) -> None:
        """End controllers, jobs and endpoints; once ``hurried`` says so jobs get no grace. Blocks until all ended."""
        self._keys.stop()
        self.controllers.stop(hurried)
        self._threads.shutdown(wait=False, cancel_futures=True)
        self.house.close()
