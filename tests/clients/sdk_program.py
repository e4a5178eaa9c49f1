"""What the SageMaker SDK (2 or 3) does by itself in a shell that sourced `modelyard env`, with no way out of loopback.

Prints one JSON object; run by the SDK's own interpreter.
"""

from __future__ import annotations

import json
import sys

LEFT: list[str] = []
"""Hosts beside loopback that somebody asked for."""


def refuse(event: str, given: tuple) -> None:
    host = {"socket.getaddrinfo": lambda: given[0], "socket.connect": lambda: given[1][0]}.get(event)
    if host is not None and isinstance(given[1], (tuple, int, str, type(None))):
        name = host()
        if name not in ("127.0.0.1", "localhost", "::1", None):
            LEFT.append(str(name))
            raise OSError(f"no way to {name}")


sys.addaudithook(refuse)

VERSION = int(sys.argv[1])
if VERSION == 2:
    from sagemaker.config.config_schema import TELEMETRY_OPT_OUT_PATH
    from sagemaker.remote_function.job import _JobSettings
    from sagemaker.session import Session, get_execution_role
    from sagemaker.utils import resolve_value_from_config
else:
    from sagemaker.core.common_utils import resolve_value_from_config
    from sagemaker.core.config.config_schema import TELEMETRY_OPT_OUT_PATH
    from sagemaker.core.helper.session_helper import Session, get_execution_role
    from sagemaker.core.remote_function.job import _JobSettings
from sagemaker.serve.detector import dependency_manager  # noqa: E402

SCAN = """
import sagemaker.serve.detector.pickle_dependencies, boto3
client = boto3.client("sts")
print(client.meta.region_name, client.meta.endpoint_url)
"""
scanned = dependency_manager.subprocess.run(
    [sys.executable, "-c", SCAN], env={"SETUPTOOLS_USE_DISTUTILS": "stdlib"}, check=True, capture_output=True, text=True
)
session = Session()
found = {
    "account": session.account_id(),
    "role": get_execution_role(session),
    "bucket": session.default_bucket(),
    "region": session.boto_region_name,
    "remote image": _JobSettings._get_default_image(session),
    "telemetry": not resolve_value_from_config(config_path=TELEMETRY_OPT_OUT_PATH, sagemaker_session=session),
    "scan": scanned.stdout.split()[-2:],
    "left": LEFT,
}
print(json.dumps(found))
