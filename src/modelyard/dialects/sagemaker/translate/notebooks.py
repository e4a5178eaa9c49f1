"""Notebook instances and lifecycle configurations between the service's documents and the core.

Owns the defaults that clients see and what an update changes
(https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_UpdateNotebookInstance.html).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelyard.core.notebooks.model import LifecycleConfig, NewNotebook, Notebook
from modelyard.dialects.sagemaker.arns import LIFECYCLE_CONFIG, NOTEBOOK, Arn
from modelyard.dialects.sagemaker.errors import refused
from modelyard.dialects.sagemaker.translate.states import NOTEBOOK as STATES
from modelyard.dialects.sagemaker.translate.tags import tags_in
from modelyard.dialects.sagemaker.translate.training import DOOR

Document = Mapping[str, Any]

_DEFAULTS = {"DirectInternetAccess": "Enabled", "RootAccess": "Enabled", "VolumeSizeInGB": 5}
_RENAMED = {"SecurityGroupIds": "SecurityGroups", "LifecycleConfigName": "NotebookInstanceLifecycleConfigName"}
_DETACHING = {
    "DisassociateLifecycleConfig": "LifecycleConfigName",
    "DisassociateAcceleratorTypes": "AcceleratorTypes",
    "DisassociateDefaultCodeRepository": "DefaultCodeRepository",
    "DisassociateAdditionalCodeRepositories": "AdditionalCodeRepositories",
}
_SUMMARY = (
    "InstanceType",
    "NotebookInstanceLifecycleConfigName",
    "DefaultCodeRepository",
    "AdditionalCodeRepositories",
)


def new_notebook(request: Document, region: str) -> NewNotebook:
    """The notebook instance that a request asks for."""
    document = {name: value for name, value in request.items() if name != "Tags"}
    fields = _fields(document)
    return NewNotebook(request["NotebookInstanceName"], DOOR, region, tags=tags_in(request.get("Tags")), **fields)


def changes(notebook: Notebook, request: Document) -> dict[str, Any]:
    """The fields of the instance as an update leaves them. Raises ValidationException for an update that both
    gives and takes away the same."""
    document = dict(notebook.document)
    for switch, member in _DETACHING.items():
        if request.get(switch):
            if member in request:
                raise refused(f"{switch} and {member} cannot be given together.")
            document.pop(member, None)
    skipped = {"NotebookInstanceName", *_DETACHING}
    document |= {name: value for name, value in request.items() if name not in skipped}
    return _fields(document)


def _fields(document: Document) -> dict[str, Any]:
    return {
        "document": dict(document),
        "lifecycle_config": document.get("LifecycleConfigName"),
        "repository": document.get("DefaultCodeRepository"),
        "more_repositories": tuple(document.get("AdditionalCodeRepositories") or ()),
    }


def arn_of(notebook: Notebook, account: str) -> Arn:
    return Arn(notebook.region, account, NOTEBOOK, notebook.name)


def summary(notebook: Notebook, account: str) -> dict[str, Any]:
    """The instance as an entry of ListNotebookInstances."""
    whole = description(notebook, account)
    return _state(notebook, account) | {name: whole[name] for name in _SUMMARY if name in whole}


def description(notebook: Notebook, account: str) -> dict[str, Any]:
    """The instance as DescribeNotebookInstance answers it."""
    shown = _DEFAULTS | {_RENAMED.get(name, name): value for name, value in notebook.document.items()}
    if notebook.failure_reason is not None:
        shown["FailureReason"] = notebook.failure_reason
    return shown | _state(notebook, account)


def _state(notebook: Notebook, account: str) -> dict[str, Any]:
    return {
        "NotebookInstanceName": notebook.name,
        "NotebookInstanceArn": str(arn_of(notebook, account)),
        "NotebookInstanceStatus": STATES[notebook.state],
        "CreationTime": notebook.created,
        "LastModifiedTime": notebook.modified,
    }


def config_arn(config: LifecycleConfig, account: str) -> Arn:
    return Arn(config.region, account, LIFECYCLE_CONFIG, config.name)


def config_summary(config: LifecycleConfig, account: str) -> dict[str, Any]:
    """The configuration as an entry of ListNotebookInstanceLifecycleConfigs."""
    return {
        "NotebookInstanceLifecycleConfigName": config.name,
        "NotebookInstanceLifecycleConfigArn": str(config_arn(config, account)),
        "CreationTime": config.created,
        "LastModifiedTime": config.modified,
    }


def config_description(config: LifecycleConfig, account: str) -> dict[str, Any]:
    """The configuration as DescribeNotebookInstanceLifecycleConfig answers it."""
    return dict(config.document) | config_summary(config, account)
