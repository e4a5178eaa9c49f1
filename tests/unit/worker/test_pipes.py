"""Pipe mode: what a script reads from the FIFOs of its channels."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path

from modelyard.core.jobs.model import Job
from tests.unit.worker.host import Host, channel, unpacked

READ = """
import json, os
folder, found = os.path.dirname(os.environ["SM_CHANNEL_TRAIN"]), []
for epoch in range(3):
    with open(f"{folder}/train_{epoch}", "rb") as fifo:
        found.append(fifo.read(1).hex() if epoch == 1 and os.environ.get("EARLY") else fifo.read().hex())
json.dump(found, open(os.environ["SM_MODEL_DIR"] + "/epochs.json", "w"))
"""


def epochs(host: Host, what: Job, name: str = "epochs.json") -> list[bytes]:
    code, output, left = host.run(what)
    assert code == 0, output
    model = unpacked(host.inputs.get(str(left.model_artifact)))
    return [bytes.fromhex(text) for text in json.loads(model[name])]


def test_each_epoch_is_all_objects_in_the_order_of_their_keys(host: Host) -> None:
    for key, content in (("b", "two"), ("a", "one"), ("c/d", "three")):
        host.inputs.put(f"s3://data/train/{key}", content)
    train = channel("train", "s3://data/train/", mode="Pipe")
    assert epochs(host, host.script({"train.py": READ}, channels=(train,))) == [b"onetwothree"] * 3


def test_a_reader_that_closes_early_gets_the_next_epoch(host: Host) -> None:
    host.inputs.put("s3://data/train/a", "x" * 1_000_000)
    train = channel("train", "s3://data/train/", mode="Pipe")
    what = host.script({"train.py": READ}, channels=(train,), variables={"EARLY": "1"})
    assert [len(epoch) for epoch in epochs(host, what)] == [1_000_000, 1, 1_000_000]


def test_objects_are_wrapped_as_recordio(host: Host) -> None:
    host.inputs.put("s3://data/train/a", "hello")
    host.inputs.put("s3://data/train/b", "four")
    train = channel("train", "s3://data/train/", mode="Pipe", record_wrapper="RecordIO")
    magic = struct.pack("<I", 0xCED7230A)
    wanted = magic + struct.pack("<I", 5) + b"hello\0\0\0" + magic + struct.pack("<I", 4) + b"four"
    assert epochs(host, host.script({"train.py": READ}, channels=(train,))) == [wanted] * 3


def test_a_seed_shuffles_each_epoch_anew_and_the_same_way_again(host: Host, tmp_path: Path) -> None:
    def orders(place: Host) -> list[bytes]:
        for letter in "abcdefghij":
            place.inputs.put(f"s3://data/train/{letter}", letter)
        train = channel("train", "s3://data/train/", mode="Pipe", shuffle_seed=7)
        return epochs(place, place.script({"train.py": READ}, channels=(train,)))

    first = orders(host)
    assert len(set(first)) == 3
    assert {bytes(sorted(epoch)) for epoch in first} == {b"abcdefghij"}
    assert orders(Host(tmp_path / "again")) == first


def test_hosts_share_a_shuffled_sharded_channel_anew_in_each_epoch(host: Host) -> None:
    for letter in "abcdefgh":
        host.inputs.put(f"s3://data/train/{letter}", letter)
    train = channel("train", "s3://data/train/", mode="Pipe", distribution="sharded", shuffle_seed=7)
    script = READ.replace('"/epochs.json"', '"/" + os.environ["SM_CURRENT_HOST"] + ".json"')
    what = host.script({"train.py": script}, channels=(train,), instances=2)
    first = epochs(host, what, "algo-1.json")
    second = [bytes.fromhex(e) for e in json.loads((host.ml("algo-2") / "model" / "algo-2.json").read_text())]
    assert {bytes(sorted(a + b)) for a, b in zip(first, second, strict=True)} == {b"abcdefgh"}
    assert len({bytes(sorted(epoch)) for epoch in first}) > 1


def test_an_augmented_manifest_streams_its_attributes_in_order(host: Host) -> None:
    host.inputs.put("s3://data/1.jpg", "JPEG1")
    host.inputs.put("s3://data/2.jpg", "JPEG2")
    lines = [{"image-ref": f"s3://data/{n}.jpg", "class": n, "meta": {"k": n}, "other": 0} for n in (1, 2)]
    host.inputs.put("s3://data/m.manifest", "\n".join(map(json.dumps, lines)))
    train = channel(
        "train",
        "s3://data/m.manifest",
        source="augmented_manifest",
        mode="Pipe",
        attributes=("image-ref", "class", "meta"),
    )
    wanted = b'JPEG11{"k": 1}JPEG22{"k": 2}'
    assert epochs(host, host.script({"train.py": READ}, channels=(train,))) == [wanted] * 3


def test_gzip_is_decompressed_on_the_way(host: Host) -> None:
    host.inputs.put("s3://data/train/a.gz", gzip.compress(b"one") + gzip.compress(b"more"))
    train = channel("train", "s3://data/train/", mode="Pipe", compression="gzip")
    assert epochs(host, host.script({"train.py": READ}, channels=(train,))) == [b"onemore"] * 3
