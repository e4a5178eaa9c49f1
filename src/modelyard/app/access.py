"""Keys from the command line; a running server takes up the change within a second.

Owns opening the house for one change and closing it again. Refuses to know how keys are kept or printed.
"""

from __future__ import annotations

import json
from typing import Any

from modelyard.app.house import House, open_existing_house, open_house
from modelyard.app.settings import Settings


def create_key(given: dict[str, Any], name: str, bearer: bool) -> dict[str, Any]:
    """A new key with its secret, shown this once."""
    house = open_house(Settings(**given))
    try:
        if bearer:
            info, token = house.keys.create_bearer(name)
            return {"id": info.id, "token": token, "name": name}
        made = house.keys.create(name)
        return {"access_key": made.access_key, "secret": made.secret, "name": name}
    finally:
        house.close()


def list_keys(given: dict[str, Any]) -> list[dict[str, Any]]:
    """The keys without their secrets."""
    house = open_existing_house(Settings(**given))
    try:
        return [
            {"id": info.id, "kind": info.kind, "name": info.name, "created": info.created} for info in house.keys.list()
        ]
    finally:
        house.close()


def delete_key(given: dict[str, Any], key_id: str) -> bool:
    """End a key and its sessions; whether it is the one that ``modelyard env`` exports. Raises NotFound, and Invalid
    for the last signing key."""
    house = open_existing_house(Settings(**given))
    try:
        house.keys.delete(key_id)
        return _exported(house) == key_id
    finally:
        house.close()


def _exported(house: House) -> str | None:
    path = house.layout.credentials
    return str(json.loads(path.read_text())["access_key"]) if path.exists() else None
