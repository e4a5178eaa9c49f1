"""The process that a runner starts for each host of a training job: ``python -m modelyard.app.worker``.

Owns the entry alone; worker/ does the work. Refuses to import a store or the server's house.
"""

from __future__ import annotations

import sys

from modelyard.worker.training import train


def main() -> None:
    sys.exit(train())


if __name__ == "__main__":
    main()
