"""STS as SageMaker's clients use it: GetCallerIdentity and AssumeRole.

Who signs with a lasting key is the default role in a session, as the SDK's get_execution_role refuses a user's Arn;
a session that AssumeRole made has the rights of the key that asked for it, and asked for by a job's session it ends
with the job (https://docs.aws.amazon.com/STS/latest/APIReference/API_Operations.html).
"""

from __future__ import annotations

from typing import Any

from modelyard.base.errors import NotFound
from modelyard.core.identity.roles import RoleService
from modelyard.core.identity.service import KeyService
from modelyard.dialects.aws.protocol import AwsError, AwsService, Call

SESSION = "modelyard"
"""The session name of everyone who signs without one."""


class StsOperations:
    """The operations of STS; ``keys`` makes the sessions."""

    def __init__(self, keys: KeyService, roles: RoleService) -> None:
        self._keys = keys
        self._roles = roles

    def get_caller_identity(self, call: Call, _request: dict[str, Any]) -> dict[str, Any]:
        """Also after the role was deleted: AWS ends such a session's rights, not its name."""
        caller = call.credential
        name = (caller and caller.role) or self._roles.default
        session = (caller and caller.session) or SESSION
        return {
            "UserId": f"{self._roles.id_of(name)}:{session}",
            "Account": call.account,
            "Arn": _session_arn(call.account, name, session),
        }

    def assume_role(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Raises AccessDenied for a role that was deleted, or a key that ended meanwhile."""
        arn, session = request["RoleArn"], request["RoleSessionName"]
        try:
            role = self._roles.get(arn.rpartition("/")[2])
        except NotFound as error:
            raise _denied(call, arn) from error
        if call.credential is None:
            raise _denied(call, arn)
        try:
            lifetime = request.get("DurationSeconds", 3600)
            made = self._keys.session(call.credential.access_key, lifetime, role=role.name, session=session)
        except NotFound as error:
            raise _denied(call, arn) from error
        return {
            "Credentials": {
                "AccessKeyId": made.access_key,
                "SecretAccessKey": made.secret,
                "SessionToken": made.session_token,
                "Expiration": made.expires,
            },
            "AssumedRoleUser": {
                "AssumedRoleId": f"{role.id}:{session}",
                "Arn": _session_arn(call.account, role.name, session),
            },
        }


def _session_arn(account: str, role: str, session: str) -> str:
    return f"arn:aws:sts::{account}:assumed-role/{role}/{session}"


def _denied(call: Call, role_arn: str) -> AwsError:
    who = f"arn:aws:sts::{call.account}:assumed-role"
    message = f"User: {who} is not authorized to perform: sts:AssumeRole on resource: {role_arn}"
    return AwsError("AccessDenied", message, 403)


def sts_service(keys: KeyService, roles: RoleService) -> AwsService:
    """STS over these keys and roles."""
    service = AwsService("sts", validation_code="ValidationError")
    operations = StsOperations(keys, roles)
    service.operation("GetCallerIdentity", inline=True)(operations.get_caller_identity)
    service.operation("AssumeRole")(operations.assume_role)
    return service
