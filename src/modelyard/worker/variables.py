"""The variables that a script is started with: SM_* as sagemaker-training sets them.

Follows https://github.com/aws/sagemaker-training-toolkit/blob/master/ENVIRONMENT_VARIABLES.md. Owns names and
encodings; refuses to know how the script is started.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelyard.core.jobs import documents
from modelyard.worker.spec import WorkerSpec, cpus_here

MASTER_PORT = "7777"
_RESERVED = frozenset(("_tuning_objective_metric", "default_user_module_name"))


def own_hyperparameters(spec: WorkerSpec) -> dict[str, Any]:
    """The hyperparameters that are the script's, without those of the toolkit."""
    return {name: value for name, value in spec.hyperparameters.items() if not _toolkit(name)}


def _toolkit(name: str) -> bool:
    return name.startswith("sagemaker_") or name in _RESERVED


def arguments(hyperparameters: Mapping[str, Any]) -> list[str]:
    """Hyperparameters as command-line arguments, sorted by name.

    >>> arguments({"n": 3, "kernel": "rbf", "sizes": {"a": 1}, "none": None})
    ['--kernel', 'rbf', '-n', '3', '--none', '', '--sizes', 'a=1']
    """
    words: list[str] = []
    for name in sorted(hyperparameters):
        words += [f"--{name}" if len(name) > 1 else f"-{name}", _argument(hyperparameters[name])]
    return words


def _argument(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{key}={item}" for key, item in sorted(value.items()))
    return "" if value is None else str(value)


def base(spec: WorkerSpec) -> dict[str, str]:
    """What every program of the job gets: the runner's, the request's, and the environment's ``python`` first."""
    found = {"PYTHONUNBUFFERED": "1", **spec.inherited, **spec.variables}
    for name in ("TRAINING_JOB_NAME", "TRAINING_JOB_ARN"):
        if name in spec.inherited:
            found[name] = spec.inherited[name]
    own = str(Path(sys.executable).parent)
    usual = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    path = found.get("PATH") or usual
    found["PATH"] = path if path.partition(":")[0] == own else f"{own}:{path}"
    found.setdefault("GLOO_SOCKET_IFNAME", documents.INTERFACE)
    found.setdefault("NCCL_SOCKET_IFNAME", documents.INTERFACE)
    return found


def script(spec: WorkerSpec, program: str, module_folder: str) -> dict[str, str]:
    """What a script gets beside ``base``."""
    described = _described(spec, program, module_folder)
    hyperparameters: Mapping[str, Any] = described["hyperparameters"]
    told: dict[str, Any] = {
        "hps": hyperparameters,
        "training_env": described,
        "user_args": arguments(hyperparameters),
        "framework_params": described["additional_framework_parameters"],
        "channels": sorted(described["channel_input_dirs"]),
        "master_addr": spec.hosts[0],
        "master_port": MASTER_PORT,
        **{name: described[name] for name in _SHARED},
    }
    told |= {f"channel_{name}": path for name, path in described["channel_input_dirs"].items()}
    told |= {f"hp_{name}": value for name, value in hyperparameters.items()}
    found = {f"SM_{name.upper()}": encode(value) for name, value in told.items()}
    asked = str(spec.variables.get("PYTHONPATH", ""))
    found["PYTHONPATH"] = f"{module_folder}:{asked}" if asked else module_folder
    found |= {"SAGEMAKER_REGION": spec.inherited.get("AWS_REGION", ""), "CURRENT_HOST": spec.host}
    found |= {"MASTER_ADDR": spec.hosts[0], "MASTER_PORT": MASTER_PORT}
    return {name: value for name, value in found.items() if name not in spec.variables or name == "PYTHONPATH"}


_SHARED = (
    "hosts", "network_interface_name", "user_entry_point", "resource_config", "input_data_config",
    "output_data_dir", "current_host", "current_instance_type", "current_instance_group",
    "current_instance_group_hosts", "instance_groups", "instance_groups_dict", "distribution_instance_groups",
    "is_hetero", "module_name", "log_level", "framework_module", "input_dir", "input_config_dir", "output_dir",
    "num_cpus", "num_gpus", "num_neurons", "model_dir", "module_dir", "output_intermediate_dir",
)  # fmt: skip
"""Names that SM_TRAINING_ENV and a variable of their own share."""


def _described(spec: WorkerSpec, program: str, module_folder: str) -> dict[str, Any]:
    groups = spec.resources["instance_groups"]
    group = spec.resources["current_group_name"]
    own = own_hyperparameters(spec)
    ml = spec.ml
    return {
        "additional_framework_parameters": {
            name: value
            for name, value in spec.hyperparameters.items()
            if name.startswith("sagemaker_") and name not in _TOOLKIT_OWN
        },
        "channel_input_dirs": {name: str(ml / "input" / "data" / name) for name in spec.inputs},
        "current_host": spec.host,
        "current_instance_group": group,
        "current_instance_group_hosts": list(spec.hosts),
        "current_instance_type": spec.resources["current_instance_type"],
        "distribution_hosts": list(spec.hosts),
        "distribution_instance_groups": [group],
        "framework_module": None,
        "hosts": list(spec.hosts),
        "hyperparameters": own,
        "input_config_dir": str(ml / "input" / "config"),
        "input_data_config": spec.inputs,
        "input_dir": str(ml / "input"),
        "instance_groups": [entry["instance_group_name"] for entry in groups],
        "instance_groups_dict": {entry["instance_group_name"]: entry for entry in groups},
        "is_hetero": False,
        "is_master": spec.host == spec.hosts[0],
        "is_modelparallel_enabled": None,
        "is_smddpmprun_installed": False,
        "is_smddprun_installed": False,
        "job_name": spec.inherited.get("TRAINING_JOB_NAME", ""),
        "log_level": spec.hyperparameters.get("sagemaker_container_log_level", 20),
        "master_hostname": spec.hosts[0],
        "model_dir": str(ml / "model"),
        "module_dir": module_folder,
        "module_name": program.removesuffix(".py"),
        "network_interface_name": spec.resources["network_interface_name"],
        "num_cpus": cpus_here(spec),
        "num_gpus": 0,
        "num_neurons": 0,
        "output_data_dir": str(ml / "output" / "data"),
        "output_dir": str(ml / "output"),
        "output_intermediate_dir": str(ml / "output" / "intermediate"),
        "resource_config": spec.resources,
        "topology": [],
        "user_entry_point": program,
    }


_TOOLKIT_OWN = frozenset(
    f"sagemaker_{name}"
    for name in (
        "program", "submit_directory", "enable_cloudwatch_metrics", "region", "container_log_level", "job_name",
        "s3_output",
    )
)  # fmt: skip


def encode(value: Any) -> str:
    """A variable's text: strings as they are, None empty, anything else compact JSON.

    >>> encode("a"), encode(None), encode({"b": 1, "a": [2]})
    ('a', '', '{"a":[2],"b":1}')
    """
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, separators=(",", ":"))
