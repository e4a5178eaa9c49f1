"""The core, composed over the embedded stores of one data directory.

Owns which implementation stands behind each port. Used by the server and by commands that look into the
same data directory beside it; SQLite serves them all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from modelyard.app.layout import Layout
from modelyard.app.settings import Settings
from modelyard.base.clock import SystemClock
from modelyard.base.disk import RealDisk, held, write_durably
from modelyard.core.identity.service import KeyService
from modelyard.stores.sql.cipher import FileCipher
from modelyard.stores.sql.database import Database
from modelyard.stores.sql.identity import SqlKeyTable


@dataclass(frozen=True, slots=True)
class House:
    """The services of one data directory."""

    settings: Settings
    layout: Layout
    database: Database
    keys: KeyService

    def close(self) -> None:
        self.database.close()


def open_house(settings: Settings) -> House:
    """Open the data directory, making it and its tables at first use."""
    layout = Layout(settings.data_dir)
    layout.make()
    database = Database(f"sqlite:///{layout.catalogue}")
    clock, disk = SystemClock(), RealDisk()
    with held(layout.keys / "open.lock"):
        database.migrate()
        cipher = FileCipher(disk, layout.keys / "master")
    keys = KeyService(SqlKeyTable(database), cipher, clock)
    return House(settings, layout, database, keys)


def ensure_default_key(settings: Settings) -> dict[str, str]:
    """The access key that ``modelyard env`` exports, made at first use and kept in a file of mode 0600."""
    house = open_house(settings)
    try:
        return default_key(house)
    finally:
        house.close()


def default_key(house: House) -> dict[str, str]:
    """As ``ensure_default_key``, on an open house. A key that was deleted since is replaced."""
    path = house.layout.credentials
    with held(house.layout.keys / "open.lock"):
        if path.exists():
            stored: dict[str, str] = json.loads(path.read_text())
            if house.keys.lookup(stored["access_key"]) is not None:
                return stored | {"region": house.settings.region}
        made = house.keys.create("default")
        stored = {"access_key": made.access_key, "secret": made.secret, "region": house.settings.region}
        write_durably(RealDisk(), path, json.dumps(stored).encode())
        return stored
