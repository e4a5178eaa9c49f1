"""The process that a runner starts for each host of a training job: ``python -m modelyard.app.worker``."""

from __future__ import annotations

import sys

from modelyard.worker.training import train


def main() -> None:
    sys.exit(train())


if __name__ == "__main__":
    main()
