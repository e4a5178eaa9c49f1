"""Staging: which files a job finds, under which names, on which host."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelyard.base.errors import Invalid, LimitExceeded, ModelyardError, NotFound
from modelyard.core.artifacts.archives import ArchiveLimits
from modelyard.core.jobs.channels import BadInput, NoInput, shard
from modelyard.core.jobs.model import Channel, Job, JobSpec, JobState, Phase, Resources
from modelyard.core.jobs.staging import FolderStaging, checkpoint_folder
from modelyard.testing.inputs import FolderInputs
from tests.unit.worker.host import archive


class Place:
    def __init__(self, root: Path) -> None:
        self.inputs = FolderInputs(root / "s3")
        self.folder = root / "attempt"
        self.folder.mkdir()
        self.staging = FolderStaging(self.inputs, limits=ArchiveLimits(size=10_000_000, ratio_from=1_000_000))

    def stage(self, *channels: Channel, instances: int = 1, **spec: Any) -> Any:
        self.job = job(*channels, instances=instances, **spec)
        return self.staging.stage(self.job, self.folder)

    def tree(self, below: str, host: str = "algo-1") -> dict[str, str]:
        root = self.folder / "ml" / host / below
        return {p.relative_to(root).as_posix(): p.read_text() for p in sorted(root.rglob("*")) if p.is_file()}

    def document(self, name: str, host: str = "algo-1") -> Any:
        return json.loads((self.folder / "ml" / host / "input/config" / name).read_text())


def job(*channels: Channel, instances: int = 1, **spec: Any) -> Job:
    told = JobSpec(image="x", resources=Resources("ml.m5.large", instances), channels=channels, **spec)
    return Job("id", "name", "training", "sagemaker", "r", told, {}, JobState.STARTING, Phase.DOWNLOADING, 0, 0)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize(
    ("prefix", "keys", "names"),
    [
        ("data/train/", ["data/train/a.csv", "data/train/deep/b.csv", "data/other"], ["a.csv", "deep/b.csv"]),
        ("data/train", ["data/train/a.csv", "data/train-2.csv"], ["a.csv", "train-2.csv"]),
        ("data/a.csv", ["data/a.csv", "data/b.csv"], ["a.csv"]),
        ("", ["a.csv", "deep/b.csv"], ["a.csv", "deep/b.csv"]),
    ],
)
def test_a_prefix_is_raw_and_names_are_relative(
    place: Place, prefix: str, keys: Sequence[str], names: list[str]
) -> None:
    for key in keys:
        place.inputs.put(f"s3://b/{key}", key)
    place.stage(Channel("train", f"s3://b/{prefix}"))
    assert sorted(place.tree("input/data/train")) == names


def test_documents_describe_the_job(place: Place) -> None:
    place.inputs.put("s3://b/a", "")
    place.stage(
        Channel("train", "s3://b/a", content_type="text/csv", distribution="sharded"),
        instances=2,
        hyperparameters={"depth": "3"},
    )
    assert place.document("hyperparameters.json") == {"depth": "3"}
    assert place.document("inputdataconfig.json")["train"]["S3DistributionType"] == "ShardedByS3Key"
    second = place.document("resourceconfig.json", "algo-2")
    assert (second["current_host"], second["hosts"]) == ("algo-2", ["algo-1", "algo-2"])
    assert second["instance_groups"][0]["instance_type"] == second["current_instance_type"] == "ml.m5.large"
    assert second["current_group_name"] == second["instance_groups"][0]["instance_group_name"]


def test_a_manifest_names_keys_below_its_prefix(place: Place) -> None:
    for key in ("x/1.csv", "x/deep/2.csv", "x/3.csv"):
        place.inputs.put(f"s3://b/{key}", key)
    place.inputs.put("s3://b/m.json", '[{"prefix": "s3://b/x/"}, "deep/2.csv", "1.csv"]')
    place.stage(Channel("train", "s3://b/m.json", "manifest"))
    assert place.tree("input/data/train") == {"1.csv": "x/1.csv", "deep/2.csv": "x/deep/2.csv"}


@pytest.mark.parametrize(
    "content", ["{}", "[]", "not json", '["a"]', '[{"prefix": "http://x/"}, "a"]', '[{"prefix": "s3://b/"}, 3]']
)
def test_a_manifest_of_another_shape_is_refused(place: Place, content: str) -> None:
    place.inputs.put("s3://b/m.json", content)
    with pytest.raises(Invalid):
        place.stage(Channel("train", "s3://b/m.json", "manifest"))


def test_a_manifest_that_names_a_missing_object_says_which(place: Place) -> None:
    place.inputs.put("s3://b/m.json", '[{"prefix": "s3://b/"}, "gone.csv"]')
    with pytest.raises(NotFound, match=r"s3://b/gone\.csv"):
        place.stage(Channel("train", "s3://b/m.json", "manifest"))


@pytest.mark.parametrize("entry", ["../../../code/train.py", "..", "a/../../b", "a/./b", "x\0y", "n" * 300])
def test_no_entry_leaves_its_channel(place: Place, entry: str) -> None:
    place.inputs.put("s3://b/m.json", json.dumps([{"prefix": "s3://b/"}, entry]))
    with pytest.raises(BadInput, match="cannot be the name of a file"):
        place.stage(Channel("train", "s3://b/m.json", "manifest"))


@pytest.mark.parametrize("name", ["..", ".", "a/b", "../code"])
def test_no_channel_leaves_the_input_folder(place: Place, name: str) -> None:
    place.inputs.put("s3://b/a", "")
    with pytest.raises(Invalid, match="cannot be a channel's name"):
        place.stage(Channel(name, "s3://b/a"))


def test_an_absolute_entry_stays_below_its_channel(place: Place) -> None:
    place.inputs.put("s3://b/etc/passwd", "not really")
    place.inputs.put("s3://b/m.json", '[{"prefix": "s3://b"}, "/etc/passwd"]')
    place.stage(Channel("train", "s3://b/m.json", "manifest"))
    assert place.tree("input/data/train") == {"etc/passwd": "not really"}


def test_two_objects_of_one_name_are_refused(place: Place) -> None:
    for key in ("train/a", "train-2/a", "train/train-2/a"):
        place.inputs.put(f"s3://b/{key}", key)
    with pytest.raises(BadInput, match="have the same file name"):
        place.stage(Channel("train", "s3://b/train"))


def test_nothing_found_says_so_in_the_services_words(place: Place) -> None:
    place.inputs.put("s3://b/other", "")
    with pytest.raises(NoInput, match=r'No S3 objects found under S3 URL "s3://b/data/" given in input data source'):
        place.stage(Channel("train", "s3://b/data/"))


def test_shards_differ_by_one_at_most_and_lose_nothing(place: Place) -> None:
    for number in range(7):
        place.inputs.put(f"s3://b/{number}", str(number))
    place.stage(Channel("train", "s3://b/", distribution="sharded"), Channel("all", "s3://b/"), instances=3)
    shares = [set(place.tree("input/data/train", f"algo-{n}")) for n in (1, 2, 3)]
    assert [len(share) for share in shares] == [3, 2, 2]
    assert set().union(*shares) == {str(n) for n in range(7)}
    assert all(len(place.tree("input/data/all", f"algo-{n}")) == 7 for n in (1, 2, 3))
    assert shard("ab", 2, 3) == ()


def test_gzipped_objects_lie_decompressed_under_their_plain_name(place: Place) -> None:
    place.inputs.put("s3://b/d/a.csv.gz", gzip.compress(b"1,2"))
    place.stage(Channel("train", "s3://b/d/", compression="gzip"))
    assert place.tree("input/data/train") == {"a.csv": "1,2"}


def test_what_is_no_gzip_or_a_bomb_is_refused(place: Place) -> None:
    place.inputs.put("s3://b/plain.gz", "plain")
    with pytest.raises(BadInput, match=r"s3://b/plain\.gz is not gzip data"):
        place.stage(Channel("train", "s3://b/plain.gz", compression="gzip"))
    place.inputs.put("s3://b/bomb.gz", gzip.compress(bytes(5_000_000)))
    with pytest.raises(LimitExceeded, match=r"bomb\.gz"):
        place.stage(Channel("train", "s3://b/bomb.gz", compression="gzip"))


def test_an_augmented_manifest_of_a_file_channel_lies_beside_its_objects(place: Place) -> None:
    place.inputs.put("s3://b/img/1.jpg", "JPEG")
    line = '{"image-ref": "s3://b/img/1.jpg", "class": 1}'
    place.inputs.put("s3://b/m.manifest", line)
    channel = Channel("train", "s3://b/m.manifest", "augmented_manifest", attributes=("image-ref", "class"))
    place.stage(channel)
    assert place.tree("input/data/train") == {"img/1.jpg": "JPEG", "m.manifest": line}
    with pytest.raises(BadInput, match="line 1 has no attribute 'gone'"):
        place.stage(replace(channel, attributes=("gone",)))


def test_code_is_unpacked_and_its_location_rewritten(place: Place) -> None:
    source = place.inputs.put("s3://b/src.tar.gz", archive({"train.py": "go", "requirements.txt": "numpy"}))
    encoded = {"sagemaker_submit_directory": json.dumps(source)}
    staged = place.stage(
        hyperparameters=encoded, variables={"SAGEMAKER_SUBMIT_DIRECTORY": source, "A": "b"}, instances=2
    )
    for host in ("algo-1", "algo-2"):
        assert place.tree("code", host) == {"train.py": "go", "requirements.txt": "numpy"}
    assert place.document("hyperparameters.json")["sagemaker_submit_directory"] == '"/opt/ml/code"'
    told = json.loads((place.folder / "worker.json").read_text())
    assert told["variables"] == {"SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/code", "A": "b"}
    assert staged.requirements == place.folder / "ml/algo-1/code/requirements.txt"
    assert place.inputs.fetched == [source]
    assert sorted(entry.name for entry in place.folder.iterdir()) == ["ml", "out", "worker.json"]


def test_code_may_come_in_a_channel(place: Place) -> None:
    place.inputs.put("s3://b/code/sourcedir.tar.gz", archive({"train.py": "go"}))
    named = {"sagemaker_submit_directory": '"/opt/ml/input/data/code/sourcedir.tar.gz"'}
    place.stage(Channel("code", "s3://b/code/sourcedir.tar.gz"), hyperparameters=named)
    assert place.tree("code") == {"train.py": "go"}


def test_requirements_of_a_driver_channel_are_found(place: Place) -> None:
    place.inputs.put("s3://b/code/needs/all.txt", "numpy")
    place.inputs.put("s3://b/drivers/sourcecode.json", '{"requirements": "needs/all.txt"}')
    channels = (Channel("code", "s3://b/code/"), Channel("sm_drivers", "s3://b/drivers/"))
    staged = place.stage(*channels, entrypoint=("/bin/bash",))
    assert staged.requirements == place.folder / "ml/algo-1/input/data/code/needs/all.txt"


@pytest.mark.parametrize(
    "named",
    ["/etc/x.tar.gz", "/opt/ml/../../etc/x.tar.gz", "/opt/ml/input/data/code/none.tar.gz", "s3://b/none.tar.gz"],
)
def test_code_from_elsewhere_is_refused(place: Place, named: str) -> None:
    with pytest.raises(ModelyardError):
        place.stage(hyperparameters={"sagemaker_submit_directory": named})


def test_an_archive_that_leaves_its_folder_stages_nothing(place: Place) -> None:
    place.inputs.put("s3://b/src.tar.gz", archive({"../../evil.py": "x"}))
    with pytest.raises(Invalid, match=r"evil\.py"):
        place.stage(hyperparameters={"sagemaker_submit_directory": "s3://b/src.tar.gz"})
    assert not list(place.folder.rglob("evil.py"))


def test_staging_again_wipes_what_a_crashed_try_left(place: Place) -> None:
    place.inputs.put("s3://b/a", "new")
    stale = place.folder / "ml/algo-1/input/data/train/stale"
    stale.parent.mkdir(parents=True)
    stale.write_text("old")
    (place.folder / "source.tar.gz").write_text("half")
    source = place.inputs.put("s3://b/src.tar.gz", archive({"train.py": "go"}))
    for _ in range(2):
        place.stage(Channel("train", "s3://b/a"), hyperparameters={"sagemaker_submit_directory": source})
    assert place.tree("input/data/train") == {"a": "new"}
    assert place.tree("code") == {"train.py": "go"}


def test_checkpoints_are_restored_and_only_changes_stored(place: Place) -> None:
    place.inputs.put("s3://ck/run/epoch-1", "one")
    place.inputs.put("s3://ck/run-other/x", "not mine")
    place.stage(checkpoints="s3://ck/run")
    assert place.tree("checkpoints") == {"epoch-1": "one"}
    assert place.staging.sync_checkpoints(place.job, place.folder) == 1
    (place.folder / "ml/algo-1/checkpoints/deep").mkdir()
    (place.folder / "ml/algo-1/checkpoints/deep/epoch-2").write_text("two")
    (place.folder / "ml/algo-1/checkpoints/passwd").symlink_to("/etc/passwd")
    assert place.staging.sync_checkpoints(place.job, place.folder) == 1
    assert place.staging.sync_checkpoints(place.job, place.folder) == 0
    assert place.inputs.names("s3://ck/run/") == ["run/deep/epoch-2", "run/epoch-1"]


@pytest.mark.parametrize(
    ("path", "folder"),
    [("/opt/ml/checkpoints", "checkpoints"), ("/opt/ml/my/ck/", "my/ck"), ("/tmp/ck", "checkpoints")],
)
def test_checkpoint_paths(path: str, folder: str) -> None:
    assert checkpoint_folder(path) == folder


@pytest.mark.parametrize("path", ["/etc", "/opt/ml/../x", "relative", "/opt/ml", "/tmp"])
def test_other_checkpoint_paths_are_refused(path: str) -> None:
    with pytest.raises(Invalid):
        checkpoint_folder(path)


def test_links_and_pipes_that_a_job_left_are_not_followed(place: Place) -> None:
    place.stage(output="s3://out/r")
    root, out = place.folder / "ml/algo-1", place.folder / "out/algo-1"
    (root / "output/failure").symlink_to("/etc/passwd")
    shutil.rmtree(root / "model")
    (root / "model").symlink_to("/etc")
    (out / "model.tar.gz").symlink_to("/etc/passwd")
    (out / "model").touch()
    (out / "finished").touch()
    left = place.staging.collect(place.job, place.folder)
    assert left.failure is None
    assert b"root" not in place.inputs.get(str(left.model_artifact))
    assert len(place.inputs.get(str(left.model_artifact))) < 200


def test_the_failure_text_is_cut(place: Place) -> None:
    place.stage()
    (place.folder / "ml/algo-1/output/failure").write_text("é" * 3000)
    assert place.staging.collect(place.job, place.folder).failure == "é" * 1024


@pytest.mark.parametrize("compressed", [True, False])
def test_a_failed_attempt_leaves_its_output_and_checkpoints_but_no_model(place: Place, compressed: bool) -> None:
    """Whether its worker packed what it had until then or was killed before it could."""
    place.inputs.put("s3://out/ck/epoch-0", "zero")
    place.stage(output="s3://out/r/", checkpoints="s3://out/ck", output_compressed=compressed)
    root = place.folder / "ml/algo-1"
    (root / "model/m").write_text("half")
    (root / "output/data/plot").write_text("a")
    (root / "checkpoints/epoch-1").write_text("one")
    left = place.staging.collect(place.job, place.folder, failed=True)
    assert left.model_artifact is None
    assert place.inputs.names("s3://out/") == ["ck/epoch-0", "ck/epoch-1", "r/name/output/output.tar.gz"]


def test_collecting_again_stores_the_same(place: Place) -> None:
    place.stage(output="s3://out/r/")
    (place.folder / "ml/algo-1/model/m").write_text("m")
    first = place.staging.collect(place.job, place.folder)
    kept = place.inputs.get("s3://out/r/name/output/model.tar.gz")
    assert place.staging.collect(place.job, place.folder) == first
    assert place.inputs.get("s3://out/r/name/output/model.tar.gz") == kept
