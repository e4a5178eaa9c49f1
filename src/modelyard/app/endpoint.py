"""The endpoint process: ``python -m modelyard.app.endpoint``, started by a pool's supervisor in its sandbox.

Composition only: reads worker.json, takes the listening descriptor, hands both to serving.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import traceback
from pathlib import Path

from modelyard.base.errors import ModelyardError
from modelyard.serving.process import OPT_ML, EndpointSpec, run


def main() -> int:
    """The exit code: 0 after SIGTERM, 1 when the model cannot be loaded (the log's last lines say why)."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    own = Path(os.environ.get("MODELYARD_RUN", "/run/modelyard"))
    spec = EndpointSpec(**json.loads((own / "worker.json").read_text()))
    listener = socket.socket(fileno=int(os.environ.pop("MODELYARD_LISTEN_FD")))
    try:
        run(spec.below(os.environ.get("MODELYARD_ML", OPT_ML)), listener, own / "out" / "ready")
    except ModelyardError as error:
        print(error.message, file=sys.stderr)  # noqa: T201 - the log
        return 1
    except Exception:  # noqa: BLE001 - the edge of this process
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
