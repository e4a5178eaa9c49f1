"""IAM's policies, managed and of one role, as the SageMaker SDKs and Terraform make them.

Owns their forms. Refuses to know rights: none hang on them. AWS's own policies may be attached to any role without
being here (https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_managed-vs-inline.html).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from modelyard.base.errors import NotFound
from modelyard.core.identity.policies import Policy, PolicyService, PolicyVersion
from modelyard.core.identity.roles import Role, RoleService
from modelyard.dialects.aws.protocol import AwsError, Call

Request = dict[str, Any]

_AWS_OWN = "arn:aws:iam::aws:policy/"


class ManagedPolicies:
    """Operations on policies that stand by themselves."""

    def __init__(self, policies: PolicyService, roles: RoleService) -> None:
        self._policies = policies
        self._roles = roles

    def create_policy(self, call: Call, request: Request) -> Request:
        check_policy(request["PolicyDocument"])
        kept: Request = {name: request[name] for name in ("Description", "Tags") if name in request}
        name, path = request["PolicyName"], request.get("Path", "/")
        return {"Policy": self._shown(call, self._policies.create(name, path, request["PolicyDocument"], kept))}

    def get_policy(self, call: Call, request: Request) -> Request:
        return {"Policy": self._shown(call, self._named(call, request))}

    def delete_policy(self, call: Call, request: Request) -> None:
        name = self._named(call, request).name
        if self._roles.holders(request["PolicyArn"]):
            raise AwsError("DeleteConflict", "Cannot delete a policy attached to entities.", 409)
        self._policies.delete(name)

    def create_policy_version(self, call: Call, request: Request) -> Request:
        check_policy(request["PolicyDocument"])
        name, counts = self._named(call, request).name, bool(request.get("SetAsDefault", False))
        version = self._policies.add_version(name, request["PolicyDocument"], counts)
        shown = _shown_version(self._policies.get(name), version)
        del shown["Document"]
        return {"PolicyVersion": shown}

    def get_policy_version(self, call: Call, request: Request) -> Request:
        policy = self._named(call, request)
        return {"PolicyVersion": _shown_version(policy, policy.version(request["VersionId"]))}

    def list_policy_versions(self, call: Call, request: Request) -> Request:
        policy = self._named(call, request)
        versions = [_shown_version(policy, version) for version in reversed(policy.versions)]
        for version in versions:
            del version["Document"]
        return {"Versions": versions, "IsTruncated": False}

    def set_default_policy_version(self, call: Call, request: Request) -> None:
        self._policies.choose_version(self._named(call, request).name, request["VersionId"])

    def delete_policy_version(self, call: Call, request: Request) -> None:
        self._policies.delete_version(self._named(call, request).name, request["VersionId"])

    def attach_role_policy(self, call: Call, request: Request) -> None:
        if not request["PolicyArn"].startswith(_AWS_OWN):
            self._named(call, request)
        self._change_attached(request, lambda attached, arn: (*attached, arn) if arn not in attached else attached)

    def detach_role_policy(self, _call: Call, request: Request) -> None:
        def without(attached: tuple[str, ...], arn: str) -> tuple[str, ...]:
            if arn not in attached:
                raise _no_policy(arn)
            return tuple(one for one in attached if one != arn)

        self._change_attached(request, without)

    def list_attached_role_policies(self, _call: Call, request: Request) -> Request:
        below = request.get("PathPrefix", "/")
        shown = [
            {"PolicyName": arn.rpartition("/")[2], "PolicyArn": arn}
            for arn in self._roles.get(request["RoleName"]).attached
            if arn.partition(":policy")[2].startswith(below)
        ]
        return {"AttachedPolicies": shown, "IsTruncated": False}

    def _change_attached(self, request: Request, change: Callable[[tuple[str, ...], str], tuple[str, ...]]) -> None:
        def changed(role: Role) -> Role:
            return replace(role, attached=change(role.attached, request["PolicyArn"]))

        self._roles.change(request["RoleName"], changed)

    def _named(self, call: Call, request: Request) -> Policy:
        arn = request["PolicyArn"]
        try:
            policy = self._policies.get(arn.rpartition("/")[2])
        except NotFound as error:
            raise _no_policy(arn) from error
        if _arn(call, policy) != arn:
            raise _no_policy(arn)
        return policy

    def _shown(self, call: Call, policy: Policy) -> Request:
        arn = _arn(call, policy)
        return {
            "PolicyName": policy.name,
            "PolicyId": policy.id,
            "Arn": arn,
            "Path": policy.path,
            "DefaultVersionId": policy.counts,
            "AttachmentCount": len(self._roles.holders(arn)),
            "PermissionsBoundaryUsageCount": 0,
            "IsAttachable": True,
            "CreateDate": policy.created,
            "UpdateDate": policy.updated,
            **policy.document,
        }


class RolePolicies:
    """Operations on the policies that are a role's own."""

    def __init__(self, roles: RoleService) -> None:
        self._roles = roles

    def put_role_policy(self, _call: Call, request: Request) -> None:
        check_policy(request["PolicyDocument"])
        added = {request["PolicyName"]: request["PolicyDocument"]}
        self._roles.change(request["RoleName"], lambda role: replace(role, inline={**role.inline, **added}))

    def get_role_policy(self, _call: Call, request: Request) -> Request:
        name = request["PolicyName"]
        role = self._roles.get(request["RoleName"])
        if name not in role.inline:
            raise _no_inline(name)
        document = quote(role.inline[name], safe="~")
        return {"RoleName": role.name, "PolicyName": name, "PolicyDocument": document}

    def delete_role_policy(self, _call: Call, request: Request) -> None:
        name = request["PolicyName"]

        def without(role: Role) -> Role:
            if name not in role.inline:
                raise _no_inline(name)
            return replace(role, inline={key: text for key, text in role.inline.items() if key != name})

        self._roles.change(request["RoleName"], without)

    def list_role_policies(self, _call: Call, request: Request) -> Request:
        return {"PolicyNames": sorted(self._roles.get(request["RoleName"]).inline), "IsTruncated": False}


def check_policy(text: str) -> None:
    """Raises AwsError for a text that is no policy."""
    try:
        policy = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AwsError("MalformedPolicyDocument", "This policy contains invalid Json") from error
    if not isinstance(policy, dict) or "Statement" not in policy:
        raise AwsError("MalformedPolicyDocument", "Syntax errors in policy.")


def _arn(call: Call, policy: Policy) -> str:
    return f"arn:aws:iam::{call.account}:policy{policy.path}{policy.name}"


def _shown_version(policy: Policy, version: PolicyVersion) -> Request:
    return {
        "VersionId": version.id,
        "IsDefaultVersion": version.id == policy.counts,
        "CreateDate": version.created,
        "Document": quote(version.text, safe="~"),
    }


def _no_policy(arn: str) -> AwsError:
    return AwsError("NoSuchEntity", f"Policy {arn} does not exist or is not attachable.", 404)


def _no_inline(name: str) -> AwsError:
    return AwsError("NoSuchEntity", f"The role policy with name {name} cannot be found.", 404)
