"""IAM as SageMaker's SDK and Terraform use it.

Roles are stored and shown; nobody's rights depend on them, so SimulatePrincipalPolicy always says ``allowed``.
A role that nobody made answers too (core/identity/roles.py says why). Policies and instance profiles do not
exist: their lists are empty (https://docs.aws.amazon.com/IAM/latest/APIReference/API_Operations.html).
"""

from __future__ import annotations

import json
from itertools import product
from typing import Any
from urllib.parse import quote

from modelyard.base.errors import AlreadyExists, Conflict, ModelyardError, NotFound
from modelyard.core.identity.roles import Role, RoleService
from modelyard.dialects.aws.protocol import AwsError, AwsService, Call
from modelyard.dialects.aws.protocol.errors import from_core

Request = dict[str, Any]

USER = "modelyard"
"""The one user, who made every key."""

MOST_SIMULATED = 10_000
"""Pairs of action and resource that one simulation judges."""

_KEPT = ("Description", "MaxSessionDuration", "Tags")


class IamOperations:
    """The operations of IAM on stored roles."""

    def __init__(self, roles: RoleService) -> None:
        self._roles = roles

    def create_role(self, call: Call, request: Request) -> Request:
        kept = {name: request[name] for name in _KEPT if name in request}
        if boundary := request.get("PermissionsBoundary"):
            kept["PermissionsBoundary"] = {
                "PermissionsBoundaryType": "Policy",
                "PermissionsBoundaryArn": boundary,
            }
        trust = request["AssumeRolePolicyDocument"]
        _check_policy(trust)
        return {"Role": _shown(call, self._roles.create(request["RoleName"], request.get("Path", "/"), trust, kept))}

    def get_role(self, call: Call, request: Request) -> Request:
        return {"Role": {**_shown(call, self._roles.get(request["RoleName"])), "RoleLastUsed": {}}}

    def delete_role(self, _call: Call, request: Request) -> None:
        self._roles.delete(request["RoleName"])

    def list_role_policies(self, _call: Call, request: Request) -> Request:
        self._roles.get(request["RoleName"])
        return {"PolicyNames": [], "IsTruncated": False}

    def list_attached_role_policies(self, _call: Call, request: Request) -> Request:
        self._roles.get(request["RoleName"])
        return {"AttachedPolicies": [], "IsTruncated": False}

    def list_instance_profiles_for_role(self, _call: Call, request: Request) -> Request:
        self._roles.get(request["RoleName"])
        return {"InstanceProfiles": [], "IsTruncated": False}

    def get_user(self, call: Call, request: Request) -> Request:
        name = request.get("UserName", USER)
        if name != USER:
            raise AwsError("NoSuchEntity", f"The user with name {name} cannot be found.", 404)
        arn = f"arn:aws:iam::{call.account}:user/{USER}"
        return {"User": {"Path": "/", "UserName": USER, "UserId": "AIDAMODELYARDUSER0001", "Arn": arn, "CreateDate": 0}}

    def simulate_principal_policy(self, _call: Call, request: Request) -> Request:
        actions, resources = request["ActionNames"], request.get("ResourceArns") or ["*"]
        if len(actions) * len(resources) > MOST_SIMULATED:
            raise AwsError("InvalidInput", f"At most {MOST_SIMULATED} pairs of action and resource are simulated.")
        results = [
            {
                "EvalActionName": action,
                "EvalResourceName": resource,
                "EvalDecision": "allowed",
                "MatchedStatements": [],
                "MissingContextValues": [],
            }
            for action, resource in product(actions, resources)
        ]
        return {"EvaluationResults": results, "IsTruncated": False}


def _check_policy(text: str) -> None:
    try:
        policy = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AwsError("MalformedPolicyDocument", "This policy contains invalid Json") from error
    if not isinstance(policy, dict) or "Statement" not in policy:
        raise AwsError("MalformedPolicyDocument", "Syntax errors in policy.")


def _shown(call: Call, role: Role) -> Request:
    return {
        "Path": role.path,
        "RoleName": role.name,
        "RoleId": role.id,
        "Arn": f"arn:aws:iam::{call.account}:role{role.path}{role.name}",
        "CreateDate": role.created,
        "AssumeRolePolicyDocument": quote(role.trust, safe="~"),
        "MaxSessionDuration": 3600,
        **role.document,
    }


def to_aws(error: ModelyardError) -> AwsError | None:
    """IAM's answer to an error of the core."""
    if isinstance(error, NotFound):
        return AwsError("NoSuchEntity", f"The role with name {error.fields['name']} cannot be found.", 404)
    if isinstance(error, AlreadyExists):
        return AwsError("EntityAlreadyExists", f"Role with name {error.fields['name']} already exists.", 409)
    if isinstance(error, Conflict):
        return AwsError("UnmodifiableEntity", error.message)
    return from_core(error)


def iam_service(roles: RoleService) -> AwsService:
    """IAM over these roles."""
    service = AwsService("iam", validation_code="ValidationError", errors=to_aws)
    operations = IamOperations(roles)
    for name, function in (
        ("CreateRole", operations.create_role),
        ("GetRole", operations.get_role),
        ("DeleteRole", operations.delete_role),
        ("ListRolePolicies", operations.list_role_policies),
        ("ListAttachedRolePolicies", operations.list_attached_role_policies),
        ("ListInstanceProfilesForRole", operations.list_instance_profiles_for_role),
        ("GetUser", operations.get_user),
        ("SimulatePrincipalPolicy", operations.simulate_principal_policy),
    ):
        service.operation(name)(function)
    return service
