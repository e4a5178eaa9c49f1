"""Interpreters with libraries in them: the one that runs Modelyard, or a virtual environment on top of it.

Implements core.jobs.ports.Environments. What the base already satisfies is not installed. Otherwise a virtual
environment that sees the base's packages is built under ``<folder>/<hash>``, the hash being of requirements,
Python and base versions. It is built in place, because virtual environments cannot be moved, and counts
only once its ``ready`` file is there; builders of one hash wait for one another on a lock.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from modelyard.base.disk import Disk, RealDisk, remove_tree, write_durably
from modelyard.core.jobs import images
from modelyard.core.jobs import requirements as rules
from modelyard.core.jobs.images import ImageFamily
from modelyard.core.jobs.requirements import Requirements
from modelyard.runners.process import building
from modelyard.runners.process.confined import Confined
from modelyard.runners.process.installed import Installed


class ProcessEnvironments:
    """Environments of this machine. Thread-safe, and safe for two servers on one folder.

    ``families`` are the images answered for, ``indexes`` the package index URLs that requirements may name. Without
    ``confine``, or where it is not available, only wheels are installed, because building a source package runs its
    code.
    """

    def __init__(
        self,
        folder: Path,
        *,
        families: Sequence[ImageFamily] = images.SCRIPT_MODE,
        base: Path | None = None,
        indexes: Collection[str] = (),
        confine: Confined | None = None,
        disk: Disk | None = None,
        timeout: float = 1800,
    ) -> None:
        self._folder = folder
        self._families = tuple(families)
        self._base = base or Path(sys.executable)
        self._indexes = tuple(indexes)
        self._confine = confine
        self._disk = disk or RealDisk()
        self._timeout = timeout
        self._installed = Installed()

    def resolve(self, image: str) -> str:
        """The environment's name; see images.answer_for."""
        return images.answer_for(image, self._families)

    def prepare(self, environment: str, requirements: Path | None, log: Path) -> Path:
        """The interpreter of ``environment`` with ``requirements`` on top; pip's words go to ``log``.

        Raises RefusedRequirement, or Invalid naming the line that could not be installed.
        """
        if requirements is None:
            return self._base
        wanted = rules.read(requirements, requirements.parent, self._indexes)
        if all(self._installed.satisfies(line.text) for line in wanted.lines):
            return self._base
        return self._cached(wanted, log)

    def _cached(self, wanted: Requirements, log: Path) -> Path:
        target = self._folder / self._hash(wanted)
        interpreter = target / "bin" / "python"
        if (target / "ready").exists():
            return interpreter
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with building.only_builder(self._folder / f"{target.name}.lock"):
            if (target / "ready").exists():
                return interpreter
            if self._confine is not None:
                self._confine.settle(target)
            remove_tree(target)
            try:
                self._build(target, wanted, log)
            except BaseException:
                with contextlib.suppress(OSError):
                    remove_tree(target)
                raise
        return interpreter

    def _build(self, target: Path, wanted: Requirements, log: Path) -> None:
        began = time.monotonic()
        building.create(target, self._base)
        confine = self._confine if self._confine is not None and self._confine.available() else None
        building.install(target, wanted, log, confine=confine, timeout=self._timeout)
        building.open_to_all(target)
        building.say(log, f"modelyard: environment built in {time.monotonic() - began:.1f} s")
        self._disk.sync_tree(target)
        write_durably(self._disk, target / "ready", b"")

    def _hash(self, wanted: Requirements) -> str:
        told = [sys.version, str(self._base), *self._installed.versions()]
        told += ["requirements", *sorted(line.whole for line in wanted.lines)]
        told += ["constraints", *sorted(line.whole for line in wanted.constraints)]
        told += ["indexes", *(" ".join(index) for index in wanted.indexes)]
        return hashlib.sha256("\n".join(told).encode()).hexdigest()[:32]
