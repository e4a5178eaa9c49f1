"""The three documents below /opt/ml/input/config that tell a container what it is to do.

Follows https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html.
Owns their shape only; who writes them where is staging's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from modelyard.core.jobs.model import Channel, JobSpec

GROUP = "homogeneousCluster"
INTERFACE = "lo"
"""The instances of one job share a namespace and reach one another over its loopback."""

_DISTRIBUTION = {"replicated": "FullyReplicated", "sharded": "ShardedByS3Key"}


def input_data_config(channels: tuple[Channel, ...]) -> dict[str, Any]:
    """inputdataconfig.json: how each channel comes."""
    return {channel.name: _channel(channel) for channel in channels}


def _channel(channel: Channel) -> dict[str, str]:
    entry = {
        "TrainingInputMode": channel.mode,
        "S3DistributionType": _DISTRIBUTION[channel.distribution],
        "RecordWrapperType": "RecordIO" if channel.record_wrapper == "RecordIO" else "None",
    }
    if channel.content_type is not None:
        entry["ContentType"] = channel.content_type
    return entry


def resource_config(spec: JobSpec, hosts: tuple[str, ...], host: str) -> dict[str, Any]:
    """resourceconfig.json as ``host`` sees it."""
    return {
        "current_host": host,
        "current_instance_type": spec.resources.instance_type,
        "current_group_name": GROUP,
        "hosts": list(hosts),
        "instance_groups": [
            {
                "instance_group_name": GROUP,
                "instance_type": spec.resources.instance_type,
                "hosts": list(hosts),
            }
        ],
        "network_interface_name": INTERFACE,
    }


def decode(value: str) -> Any:
    """A hyperparameter as meant: JSON where it parses (SDK v2 encodes each), else the string itself.

    >>> decode('"train.py"'), decode("train.py"), decode("0.1")
    ('train.py', 'train.py', 0.1)
    """
    try:
        return json.loads(value)
    except ValueError:
        return value


def replaced(hyperparameters: Mapping[str, str], name: str, value: str) -> dict[str, str]:
    """``hyperparameters`` with ``name`` set, written as its old value was (JSON or raw)."""
    old = hyperparameters.get(name, "")
    encoded = json.dumps(value) if old.lstrip().startswith('"') else value
    return {**hyperparameters, name: encoded}
