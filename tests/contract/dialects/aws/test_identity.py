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
from modelyard.core.identity.policies import PolicyService
from modelyard.core.identity.roles import RoleService
from modelyard.core.identity.service import KeyService
from modelyard.dialects.aws.iam import iam_service
from modelyard.dialects.aws.sts import sts_service
from modelyard.stores.sql.cipher import FileCipher
from modelyard.stores.sql.database import Database
from modelyard.stores.sql.identity import SqlKeyTable
from modelyard.stores.sql.policies import SqlPolicyTable
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
    policies = PolicyService(SqlPolicyTable(database), SystemClock(), RandomIds())
    with opened([sts_service(keys, roles), iam_service(roles, policies)], keys.lookup) as door:
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
    who = door.client("sts", session).get_caller_identity()
    assert who["Arn"] == "arn:aws:sts::000000000000:assumed-role/TheRole/me"
    assert who["UserId"] == answer["AssumedRoleUser"]["AssumedRoleId"]
    assert (who["UserId"].startswith("AROA"), who["UserId"].endswith(":me")) == (True, True)
    forged = Credential(session.access_key, session.secret, "", "another token")
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        door.client("sts", forged).get_caller_identity()


def test_a_role_of_a_role_is_who_it_was_made_to_be(door: Door, key: Credential) -> None:
    iam, sts = door.client("iam", key), door.client("sts", key)
    made = iam.create_role(RoleName="inner", Path="/p/", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
    for arn, session in ((ROLE_ARN, "first"), (made["Arn"], "second")):
        answer = sts.assume_role(RoleArn=arn, RoleSessionName=session)["Credentials"]
        signing = Credential(answer["AccessKeyId"], answer["SecretAccessKey"], "", answer["SessionToken"])
        sts = door.client("sts", signing)
    who = sts.get_caller_identity()
    assert who["Arn"] == "arn:aws:sts::000000000000:assumed-role/inner/second"
    assert who["UserId"] == f"{made['RoleId']}:second"
    iam.delete_role(RoleName="inner")
    assert sts.get_caller_identity() | {"ResponseMetadata": 0} == who | {"ResponseMetadata": 0}


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


def test_an_execution_role_is_made_and_unmade_as_the_sdk_does(door: Door, key: Credential) -> None:
    """sagemaker 3.27, core/helper/iam_role_resolver.py: create_execution_role twice, then delete_execution_role."""
    iam = door.client("iam", key)
    other = {**TRUST, "Statement": []}
    iam.create_role(RoleName="auto", AssumeRolePolicyDocument=json.dumps(TRUST), Tags=[{"Key": "a", "Value": "b"}])
    assert iam.list_attached_role_policies(RoleName="auto")["AttachedPolicies"] == []
    policy = iam.create_policy(PolicyName="auto-data", PolicyDocument=json.dumps(TRUST))["Policy"]
    arn = policy["Arn"]
    assert (arn, policy["AttachmentCount"]) == ("arn:aws:iam::000000000000:policy/auto-data", 0)
    iam.attach_role_policy(RoleName="auto", PolicyArn=arn)
    iam.attach_role_policy(RoleName="auto", PolicyArn=arn)
    iam.attach_role_policy(RoleName="auto", PolicyArn="arn:aws:iam::aws:policy/AmazonSageMakerFullAccess")

    with pytest.raises(iam.exceptions.EntityAlreadyExistsException):
        iam.create_role(RoleName="auto", AssumeRolePolicyDocument=json.dumps(TRUST))
    assert iam.list_role_tags(RoleName="auto")["Tags"] == [{"Key": "a", "Value": "b"}]
    iam.tag_role(RoleName="auto", Tags=[{"Key": "c", "Value": "d"}])
    with pytest.raises(iam.exceptions.EntityAlreadyExistsException):
        iam.create_policy(PolicyName="auto-data", PolicyDocument=json.dumps(other))
    current = iam.get_policy(PolicyArn=arn)["Policy"]
    assert current["AttachmentCount"] == 1
    shown = iam.get_policy_version(PolicyArn=arn, VersionId=current["DefaultVersionId"])["PolicyVersion"]
    assert (shown["Document"], shown["IsDefaultVersion"]) == (TRUST, True)
    for _ in range(4):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(other), SetAsDefault=True)
    with pytest.raises(iam.exceptions.LimitExceededException):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(other), SetAsDefault=True)
    versions = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    assert [(one["VersionId"], one["IsDefaultVersion"]) for one in versions][:2] == [("v5", True), ("v4", False)]
    assert iam.get_policy_version(PolicyArn=arn, VersionId="v5")["PolicyVersion"]["Document"] == other

    with pytest.raises(iam.exceptions.DeleteConflictException):
        iam.delete_role(RoleName="auto")
    with pytest.raises(iam.exceptions.DeleteConflictException):
        iam.delete_policy(PolicyArn=arn)
    attached = iam.list_attached_role_policies(RoleName="auto")["AttachedPolicies"]
    assert [one["PolicyName"] for one in attached] == ["auto-data", "AmazonSageMakerFullAccess"]
    for one in attached:
        iam.detach_role_policy(RoleName="auto", PolicyArn=one["PolicyArn"])
    with pytest.raises(iam.exceptions.DeleteConflictException):
        iam.delete_policy_version(PolicyArn=arn, VersionId="v5")
    with pytest.raises(iam.exceptions.DeleteConflictException):
        iam.delete_policy(PolicyArn=arn)
    for version in versions[1:]:
        iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])
    iam.delete_policy(PolicyArn=arn)
    iam.delete_role(RoleName="auto")
    for gone in (iam.get_policy, iam.delete_policy, iam.list_policy_versions):
        with pytest.raises(iam.exceptions.NoSuchEntityException, match="auto-data does not exist"):
            gone(PolicyArn=arn)


def test_an_older_version_of_a_policy_counts_again(door: Door, key: Credential) -> None:
    iam = door.client("iam", key)
    policy = iam.create_policy(PolicyName="two", Path="/team/", PolicyDocument=json.dumps(TRUST), Description="d")
    arn = policy["Policy"]["Arn"]
    assert arn == "arn:aws:iam::000000000000:policy/team/two"
    made = iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(TRUST))["PolicyVersion"]
    assert (made["VersionId"], made["IsDefaultVersion"]) == ("v2", False)
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v2")
    assert iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v2"
    for fresh in ("v3", "v4"):  # no id is given twice
        made = iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(TRUST))["PolicyVersion"]
        assert made["VersionId"] == fresh
        iam.delete_policy_version(PolicyArn=arn, VersionId=fresh)
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.set_default_policy_version(PolicyArn=arn, VersionId="v9")
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_policy(PolicyArn="arn:aws:iam::000000000000:policy/two")
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.attach_role_policy(RoleName="TheRole", PolicyArn="arn:aws:iam::000000000000:policy/none")
    with pytest.raises(ClientError, match="MalformedPolicyDocument"):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument="[]")


def test_a_roles_own_policies_trust_and_tags(door: Door, key: Credential) -> None:
    iam = door.client("iam", key)
    iam.create_role(RoleName="own", AssumeRolePolicyDocument=json.dumps(TRUST))
    for name in ("write", "read"):
        iam.put_role_policy(RoleName="own", PolicyName=name, PolicyDocument=json.dumps(TRUST))
    assert iam.list_role_policies(RoleName="own")["PolicyNames"] == ["read", "write"]
    assert iam.get_role_policy(RoleName="own", PolicyName="read")["PolicyDocument"] == TRUST
    with pytest.raises(ClientError, match="MalformedPolicyDocument"):
        iam.put_role_policy(RoleName="own", PolicyName="read", PolicyDocument="{}")
    with pytest.raises(iam.exceptions.DeleteConflictException):
        iam.delete_role(RoleName="own")
    for name in ("write", "read"):
        iam.delete_role_policy(RoleName="own", PolicyName=name)
        with pytest.raises(iam.exceptions.NoSuchEntityException, match=name):
            iam.get_role_policy(RoleName="own", PolicyName=name)
    other = {**TRUST, "Statement": []}
    iam.update_assume_role_policy(RoleName="own", PolicyDocument=json.dumps(other))
    assert iam.get_role(RoleName="own")["Role"]["AssumeRolePolicyDocument"] == other
    iam.tag_role(RoleName="own", Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    iam.tag_role(RoleName="own", Tags=[{"Key": "a", "Value": "3"}])
    iam.untag_role(RoleName="own", TagKeys=["b"])
    assert iam.get_role(RoleName="own")["Role"]["Tags"] == [{"Key": "a", "Value": "3"}]
    with pytest.raises(iam.exceptions.LimitExceededException):
        iam.tag_role(RoleName="own", Tags=[{"Key": str(number), "Value": ""} for number in range(50)])
    iam.delete_role(RoleName="own")
