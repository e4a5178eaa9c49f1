"""IAM as SageMaker's SDK and Terraform use it.

Roles are stored and shown; nobody's rights depend on them, so SimulatePrincipalPolicy always says ``allowed``.
A role that nobody made answers too (core/identity/roles.py says why); instance profiles do not exist
(https://docs.aws.amazon.com/IAM/latest/APIReference/API_Operations.html). Policies are policies.py's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any
from urllib.parse import quote

from modelyard.base.errors import AlreadyExists, Conflict, LimitExceeded, ModelyardError, NotFound
from modelyard.core.identity.model import InUse
from modelyard.core.identity.policies import PolicyService
from modelyard.core.identity.roles import Role, RoleService
from modelyard.dialects.aws.iam.policies import ManagedPolicies, RolePolicies, check_policy
from modelyard.dialects.aws.protocol import AwsError, AwsService, Call
from modelyard.dialects.aws.protocol.errors import from_core

Request = dict[str, Any]

USER = "modelyard"
"""The one user, who made every key."""

MOST_SIMULATED = 10_000
"""Pairs of action and resource that one simulation judges."""

MOST_TAGS = 50
"""Tags of one role."""

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
        check_policy(trust)
        return {"Role": _shown(call, self._roles.create(request["RoleName"], request.get("Path", "/"), trust, kept))}

    def get_role(self, call: Call, request: Request) -> Request:
        return {"Role": {**_shown(call, self._roles.get(request["RoleName"])), "RoleLastUsed": {}}}

    def delete_role(self, _call: Call, request: Request) -> None:
        self._roles.delete(request["RoleName"])

    def update_assume_role_policy(self, _call: Call, request: Request) -> None:
        trust = request["PolicyDocument"]
        check_policy(trust)
        self._roles.change(request["RoleName"], lambda role: replace(role, trust=trust))

    def tag_role(self, _call: Call, request: Request) -> None:
        added = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
        self._change_tags(request, lambda tags: {**tags, **added})

    def untag_role(self, _call: Call, request: Request) -> None:
        gone = request["TagKeys"]
        self._change_tags(request, lambda tags: {key: value for key, value in tags.items() if key not in gone})

    def list_role_tags(self, _call: Call, request: Request) -> Request:
        return {"Tags": self._roles.get(request["RoleName"]).document.get("Tags", []), "IsTruncated": False}

    def _change_tags(self, request: Request, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
        def changed(role: Role) -> Role:
            tags = change({tag["Key"]: tag["Value"] for tag in role.document.get("Tags", [])})
            if len(tags) > MOST_TAGS:
                raise AwsError("LimitExceeded", f"Cannot exceed quota for TagsPerRole: {MOST_TAGS}", 409)
            shown = [{"Key": key, "Value": value} for key, value in tags.items()]
            return replace(role, document={**role.document, "Tags": shown})

        self._roles.change(request["RoleName"], changed)

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
        return AwsError(
            "NoSuchEntity", f"The {error.fields['kind']} with name {error.fields['name']} cannot be found.", 404
        )
    if isinstance(error, AlreadyExists):
        what = f"{error.fields['kind'].capitalize()} with name {error.fields['name']} already exists."
        return AwsError("EntityAlreadyExists", what, 409)
    if isinstance(error, InUse):
        return AwsError("DeleteConflict", error.message, 409)
    if isinstance(error, LimitExceeded):
        return AwsError("LimitExceeded", error.message, 409)
    if isinstance(error, Conflict):
        return AwsError("UnmodifiableEntity", error.message)
    return from_core(error)


def iam_service(roles: RoleService, policies: PolicyService) -> AwsService:
    """IAM over these roles and policies."""
    service = AwsService("iam", validation_code="ValidationError", errors=to_aws)
    own, managed, of_role = IamOperations(roles), ManagedPolicies(policies, roles), RolePolicies(roles)
    for name, function in (
        ("CreateRole", own.create_role),
        ("GetRole", own.get_role),
        ("DeleteRole", own.delete_role),
        ("UpdateAssumeRolePolicy", own.update_assume_role_policy),
        ("TagRole", own.tag_role),
        ("UntagRole", own.untag_role),
        ("ListRoleTags", own.list_role_tags),
        ("ListInstanceProfilesForRole", own.list_instance_profiles_for_role),
        ("GetUser", own.get_user),
        ("SimulatePrincipalPolicy", own.simulate_principal_policy),
        ("CreatePolicy", managed.create_policy),
        ("GetPolicy", managed.get_policy),
        ("DeletePolicy", managed.delete_policy),
        ("CreatePolicyVersion", managed.create_policy_version),
        ("GetPolicyVersion", managed.get_policy_version),
        ("ListPolicyVersions", managed.list_policy_versions),
        ("SetDefaultPolicyVersion", managed.set_default_policy_version),
        ("DeletePolicyVersion", managed.delete_policy_version),
        ("AttachRolePolicy", managed.attach_role_policy),
        ("DetachRolePolicy", managed.detach_role_policy),
        ("ListAttachedRolePolicies", managed.list_attached_role_policies),
        ("PutRolePolicy", of_role.put_role_policy),
        ("GetRolePolicy", of_role.get_role_policy),
        ("DeleteRolePolicy", of_role.delete_role_policy),
        ("ListRolePolicies", of_role.list_role_policies),
    ):
        service.operation(name)(function)
    return service
