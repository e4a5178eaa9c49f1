"""STS and IAM as boto3, the SageMaker SDKs and Terraform call them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from modelyard.base.clock import SystemClock
from modelyard.base.disk import RealDisk
from modelyard.base.ids import RandomIds
from modelyard.core.identity.model import Credential
from modelyard.core.identity.roles import RoleService
from modelyard.core.identity.service import KeyService
from modelyard.dialects.aws.iam import iam_service
from modelyard.dialects.aws.sts import sts_service
from modelyard.stores.sql.cipher import FileCipher
from modelyard.stores.sql.database import Database
from modelyard.stores.sql.identity import SqlKeyTable
from modelyard.stores.sql.roles import SqlRoleTable
from tests.contract.dialects.aws.door import Door, opened

TRUST = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:*"}]}
ROLE_ARN = "arn:aws:iam::000000000000:role/TheRole"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyService:
    folder: Path = tmp_path_factory.mktemp("keys")
    database = Database(f"sqlite:///{folder}/catalogue.db")
    database.migrate()
    return KeyService(SqlKeyTable(database), FileCipher(RealDisk(), folder / "master"), SystemClock())


@pytest.fixture(scope="module")
def key(keys: KeyService) -> Credential:
    return keys.create("tests")


@pytest.fixture(scope="module")
def door(keys: KeyService, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('roles')}/catalogue.db")
    database.migrate()
    roles = RoleService(SqlRoleTable(database), SystemClock(), RandomIds(), "TheRole")
    with opened([sts_service(keys, roles), iam_service(roles)], keys.lookup) as door:
        yield door


def test_who_calls_is_a_role_in_a_session(door: Door, key: Credential) -> None:
    identity = door.client("sts", key).get_caller_identity()
    assert identity["Account"] == "000000000000"
    assert identity["Arn"] == "arn:aws:sts::000000000000:assumed-role/TheRole/modelyard"
    assert identity["UserId"].endswith(":modelyard")
    assert identity["ResponseMetadata"]["RequestId"]


def test_an_assumed_role_signs(door: Door, key: Credential) -> None:
    sts = door.client("sts", key)
    answer = sts.assume_role(RoleArn=ROLE_ARN, RoleSessionName="me", DurationSeconds=900)
    made = answer["Credentials"]
    session = Credential(made["AccessKeyId"], made["SecretAccessKey"], "", made["SessionToken"])
    assert answer["AssumedRoleUser"]["Arn"] == "arn:aws:sts::000000000000:assumed-role/TheRole/me"
    assert 0 < made["Expiration"].timestamp() - SystemClock().now() <= 900
    assert door.client("sts", session).get_caller_identity()["Account"] == "000000000000"
    forged = Credential(session.access_key, session.secret, "", "another token")
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        door.client("sts", forged).get_caller_identity()


def test_what_a_jobs_session_assumes_ends_with_the_job(door: Door, key: Credential, keys: KeyService) -> None:
    job = keys.session(key.access_key, 1000, owner="job-1")
    answer = door.client("sts", job).assume_role(RoleArn=ROLE_ARN, RoleSessionName="me", DurationSeconds=3600)
    made = answer["Credentials"]
    assert made["Expiration"].timestamp() <= (job.expires or 0) + 1
    session = Credential(made["AccessKeyId"], made["SecretAccessKey"], "", made["SessionToken"])
    assert door.client("sts", session).get_caller_identity()["Account"] == "000000000000"
    keys.end_sessions("job-1")
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        door.client("sts", session).get_caller_identity()


def test_an_expired_session_is_told_so(door: Door, key: Credential, keys: KeyService) -> None:
    with pytest.raises(ClientError, match="ExpiredToken"):
        door.client("sts", keys.session(key.access_key, -1)).get_caller_identity()


def test_constraints_of_a_query_service(door: Door, key: Credential) -> None:
    with pytest.raises(ClientError) as refused:
        door.client("sts", key, parameter_validation=False).assume_role(RoleArn="short", DurationSeconds=1)
    error = refused.value.response["Error"]
    assert error["Code"] == "ValidationError"
    assert error["Message"].startswith("3 validation errors detected: Value 'short' at 'roleArn' failed")
    assert "Value null at 'roleSessionName' failed to satisfy constraint: Member must not be null" in error["Message"]
    assert (
        "Value '1' at 'durationSeconds' failed to satisfy constraint: "
        "Member must have value greater than or equal to 900" in error["Message"]
    )


def test_a_role_nobody_made_trusts_sagemaker(door: Door, key: Credential) -> None:
    for name in ("TheRole", "SomebodysRole"):
        role = door.client("iam", key).get_role(RoleName=name)["Role"]
        assert role["Arn"] == f"arn:aws:iam::000000000000:role/{name}"
        assert role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == {"Service": "sagemaker.amazonaws.com"}


def test_a_roles_life_as_terraform_lives_it(door: Door, key: Credential) -> None:
    iam = door.client("iam", key)
    made = iam.create_role(
        RoleName="made",
        Path="/service-role/",
        AssumeRolePolicyDocument=json.dumps(TRUST),
        Description="for <tests> & more",
        Tags=[{"Key": "team", "Value": "ml"}],
    )["Role"]
    read = iam.get_role(RoleName="made")["Role"]
    assert read["Arn"] == made["Arn"] == "arn:aws:iam::000000000000:role/service-role/made"
    assert read["AssumeRolePolicyDocument"] == TRUST
    assert read["Tags"] == [{"Key": "team", "Value": "ml"}]
    assert (read["Description"], read["MaxSessionDuration"]) == ("for <tests> & more", 3600)
    assert iam.list_role_policies(RoleName="made")["PolicyNames"] == []
    assert iam.list_attached_role_policies(RoleName="made")["AttachedPolicies"] == []
    assert iam.list_instance_profiles_for_role(RoleName="made")["InstanceProfiles"] == []
    with pytest.raises(iam.exceptions.EntityAlreadyExistsException):
        iam.create_role(RoleName="made", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.delete_role(RoleName="made")
    for gone in (iam.get_role, iam.delete_role, iam.list_role_policies):
        with pytest.raises(iam.exceptions.NoSuchEntityException, match="made cannot be found"):
            gone(RoleName="made")
    with pytest.raises(ClientError, match="AccessDenied"):
        door.client("sts", key).assume_role(RoleArn=made["Arn"], RoleSessionName="me")
    iam.create_role(RoleName="made", AssumeRolePolicyDocument=json.dumps(TRUST))


def test_the_default_role_stays(door: Door, key: Credential) -> None:
    iam = door.client("iam", key)
    with pytest.raises(ClientError, match="UnmodifiableEntity"):
        iam.delete_role(RoleName="TheRole")
    with pytest.raises(ClientError, match="EntityAlreadyExists"):
        iam.create_role(RoleName="TheRole", AssumeRolePolicyDocument=json.dumps(TRUST))


@pytest.mark.parametrize("policy", ["{", "[]", "{}", "[" * 5000])
def test_a_policy_must_be_one(door: Door, key: Credential, policy: str) -> None:
    with pytest.raises(ClientError, match="MalformedPolicyDocument"):
        door.client("iam", key).create_role(RoleName="bad", AssumeRolePolicyDocument=policy)


def test_everything_is_allowed(door: Door, key: Credential) -> None:
    iam = door.client("iam", key)
    pages = iam.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn="arn:aws:iam::1:role/x", ActionNames=["s3:PutObject", "s3:GetObject"], ResourceArns=["a", "b"]
    )
    results = [result for page in pages for result in page["EvaluationResults"]]
    assert {result["EvalDecision"] for result in results} == {"allowed"}
    assert len(results) == 4


def test_the_one_user(door: Door, key: Credential) -> None:
    iam = door.client("iam", key)
    assert iam.get_user()["User"]["Arn"] == "arn:aws:iam::000000000000:user/modelyard"
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_user(UserName="else")
