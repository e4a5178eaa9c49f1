"""The data directory: where each thing of an installation lies.

Owns the paths and the making of their folders. Refuses to know what is in one: that belongs to whoever writes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from modelyard.base.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths below one data directory."""

    root: Path

    @property
    def catalogue(self) -> Path:
        return self.root / "catalogue.db"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def credentials(self) -> Path:
        return self.keys / "credentials.json"

    @property
    def blobs(self) -> Path:
        return self.root / "blobs"

    @property
    def jobs(self) -> Path:
        return self.root / "jobs"

    @property
    def endpoints(self) -> Path:
        return self.root / "endpoints"

    @property
    def environments(self) -> Path:
        return self.root / "envs"

    @property
    def clients(self) -> Path:
        return self.root / "clients"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def server_socket(self) -> Path:
        return self.run / "server.sock"

    @property
    def server_lock(self) -> Path:
        return self.run / "server.lock"

    def make(self) -> None:
        """Create the folders, readable by their owner alone. Raises Unavailable, naming the directory."""
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (self.keys, self.blobs, self.jobs, self.endpoints, self.environments, self.run):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            why = f"{error.strerror} ({error.filename})"
            raise Unavailable(what=f"the data directory {self.root} cannot be made: {why}") from error
