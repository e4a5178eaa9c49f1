"""The contract of ``core.artifacts.ports.Catalogue``, to be subclassed for each implementation.

Owns what the port's prose promises, case by case. Refuses to know how rows are kept.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from modelyard.base.errors import AlreadyExists, NotFound
from modelyard.core.artifacts.model import (
    ALWAYS,
    Bucket,
    BucketNotEmpty,
    Checksums,
    Condition,
    InvalidPart,
    Part,
    PartInfo,
    PreconditionFailed,
    Properties,
    Segment,
    StoredObject,
    Upload,
)
from modelyard.core.artifacts.ports import Catalogue, Copied

BUCKET = Bucket("data", "eu-west-1", 1.5, {"team": "a"})
FULL = Properties({"content-type": "text/plain"}, {"who": "me"}, {"k": "v"})


def item(key: str, generation: str = "g1", etag: str = "e1", **fields: object) -> StoredObject:
    """An object of the kit's bucket."""
    return StoredObject("data", key, generation, 3, etag, 2.5, **fields)  # type: ignore[arg-type]


def segment(blob: str, size: int = 3) -> tuple[Segment, ...]:
    return (Segment(blob, 0, size),)


class CatalogueKit:
    """Subclasses give a fixture ``catalogue``: an empty one."""

    @pytest.fixture(autouse=True)
    def with_bucket(self, catalogue: Catalogue) -> None:
        catalogue.add_bucket(BUCKET)

    def keys(self, catalogue: Catalogue, prefix: bytes = b"", after: bytes = b"", limit: int = 100) -> list[str]:
        return [found.key for found in catalogue.list("data", prefix, after, limit)]

    def test_buckets_come_back_as_they_were_added(self, catalogue: Catalogue) -> None:
        catalogue.add_bucket(Bucket("alpha", "us-east-1", 2.0))
        assert catalogue.bucket("data") == BUCKET
        assert [bucket.name for bucket in catalogue.buckets()] == ["alpha", "data"]
        assert catalogue.bucket("none") is None
        with pytest.raises(AlreadyExists):
            catalogue.add_bucket(BUCKET)

    def test_a_bucket_s_tags_are_replaced(self, catalogue: Catalogue) -> None:
        catalogue.tag_bucket("data", {})
        found = catalogue.bucket("data")
        assert found is not None
        assert found.tags == {}
        with pytest.raises(NotFound):
            catalogue.tag_bucket("none", {})

    def test_a_bucket_goes_only_when_it_is_empty_and_takes_its_uploads_along(self, catalogue: Catalogue) -> None:
        catalogue.put(item("k"), b"abc", ALWAYS)
        catalogue.add_upload(Upload("u1", "data", "k", 1.0))
        catalogue.put_part("u1", Part(1, 3, "p1", 1.0), segment("b1"), None)
        with pytest.raises(BucketNotEmpty):
            catalogue.remove_bucket("data")
        catalogue.remove("data", "k", ALWAYS)
        assert catalogue.remove_bucket("data") == {"b1"}
        assert catalogue.upload("u1") is None
        with pytest.raises(NotFound):
            catalogue.remove_bucket("data")

    def test_an_object_comes_back_as_it_was_put(self, catalogue: Catalogue) -> None:
        parts = (PartInfo(1, 1, {"CRC32": "x"}), PartInfo(4, 2))
        made = item("ü/k", properties=FULL, checksums=Checksums("COMPOSITE", {"CRC32": "y-2"}), parts=parts)
        content = (Segment("b1", 0, 1), Segment("b2", 5, 2))
        assert catalogue.put(made, content, ALWAYS) == frozenset()
        assert catalogue.get("data", "ü/k") == (made, content)
        assert catalogue.get("data", "u") is None
        assert catalogue.put(item("small"), b"", ALWAYS) == frozenset()
        assert catalogue.get("data", "small") == (item("small"), b"")

    def test_an_object_needs_its_bucket(self, catalogue: Catalogue) -> None:
        lost = StoredObject("none", "k", "g", 1, "e", 1.0)
        for content in (b"x", segment("b1")):
            with pytest.raises(NotFound):
                catalogue.put(lost, content, ALWAYS)
        assert catalogue.referenced(["b1"]) == frozenset()
        with pytest.raises(NotFound):
            catalogue.remove("none", "k", ALWAYS)
        with pytest.raises(NotFound):
            catalogue.remove_many("none", ["k"])

    def test_what_is_replaced_or_removed_frees_its_blobs(self, catalogue: Catalogue) -> None:
        catalogue.put(item("k"), segment("b1"), ALWAYS)
        assert catalogue.put(item("k", "g2"), segment("b2"), ALWAYS) == {"b1"}
        assert catalogue.put(item("k", "g3"), b"abc", ALWAYS) == {"b2"}
        assert catalogue.put(item("k", "g4"), segment("b4"), ALWAYS) == frozenset()
        assert catalogue.remove("data", "k", ALWAYS) == {"b4"}
        assert catalogue.remove("data", "k", ALWAYS) == frozenset()

    def test_several_are_removed_at_once(self, catalogue: Catalogue) -> None:
        for number in range(1200):
            catalogue.put(item(f"k{number}", f"g{number}"), b"", ALWAYS)
        catalogue.put(item("blob", "g"), segment("b1"), ALWAYS)
        names = [f"k{number}" for number in range(1100)]
        assert catalogue.remove_many("data", [*names, "blob", "never was"]) == {"b1"}
        assert len(self.keys(catalogue, limit=2000)) == 100

    @pytest.mark.parametrize(
        ("condition", "on_nothing", "on_object"),
        [
            (Condition(), True, True),
            (Condition(absent=True), True, False),
            (Condition(match="e1"), False, True),
            (Condition(match="other"), False, False),
            (Condition(match="*"), False, True),
        ],
    )
    def test_conditions_are_judged_in_the_write_itself(
        self, catalogue: Catalogue, condition: Condition, on_nothing: bool, on_object: bool
    ) -> None:
        catalogue.put(item("there"), segment("b1"), ALWAYS)
        for key, holds in (("fresh", on_nothing), ("there", on_object)):
            made = item(key, f"new-{key}")
            if holds:
                catalogue.put(made, b"abc", condition)
            else:
                before = catalogue.get("data", key)
                with pytest.raises(PreconditionFailed):
                    catalogue.put(made, segment("b9"), condition)
                assert catalogue.get("data", key) == before
                assert catalogue.referenced(["b9"]) == frozenset()

    def test_a_copy_shares_blobs_until_the_last_goes(self, catalogue: Catalogue) -> None:
        catalogue.put(item("from"), segment("b1"), ALWAYS)
        source = Copied("data", "from", "g1")
        assert catalogue.copy(source, item("to", "g2"), ALWAYS) == frozenset()
        assert catalogue.get("data", "to") == (item("to", "g2"), segment("b1"))
        assert catalogue.remove("data", "from", ALWAYS) == frozenset()
        assert catalogue.remove("data", "to", ALWAYS) == {"b1"}
        with pytest.raises(NotFound):
            catalogue.copy(source, item("to", "g3"), ALWAYS)

    def test_a_copy_onto_itself_keeps_its_bytes(self, catalogue: Catalogue) -> None:
        for content in (segment("b1"), b"abc"):
            catalogue.put(item("k"), content, ALWAYS)
            assert catalogue.copy(Copied("data", "k", "g1"), item("k", "g2", properties=FULL), ALWAYS) == frozenset()
            assert catalogue.get("data", "k") == (item("k", "g2", properties=FULL), content)
            catalogue.remove("data", "k", ALWAYS)

    def test_a_copy_of_what_has_changed_fails(self, catalogue: Catalogue) -> None:
        catalogue.put(item("from"), b"abc", ALWAYS)
        catalogue.put(item("from", "g2"), b"abc", ALWAYS)
        with pytest.raises(NotFound):
            catalogue.copy(Copied("data", "from", "g1"), item("to", "g3"), ALWAYS)

    def test_tags_of_an_object_are_replaced(self, catalogue: Catalogue) -> None:
        catalogue.put(item("k", properties=FULL), b"abc", ALWAYS)
        catalogue.tag("data", "k", {"new": "1"})
        found = catalogue.get("data", "k")
        assert found is not None
        assert found[0].properties == Properties(FULL.headers, FULL.metadata, {"new": "1"})
        with pytest.raises(NotFound):
            catalogue.tag("data", "none", {})

    def test_listings_are_in_byte_order_within_the_prefix(self, catalogue: Catalogue) -> None:
        names = ["a", "a/", "a/b", "a0", "b", "z", "é", "日本", "\U0001f600", "A", "%", "p", "p/q"]
        for number, name in enumerate(names):
            catalogue.put(item(name, f"g{number}"), b"", ALWAYS)
        assert self.keys(catalogue) == sorted(names, key=str.encode)
        assert self.keys(catalogue, b"a/") == ["a/", "a/b"]
        assert self.keys(catalogue, "日".encode()) == ["日本"]
        assert self.keys(catalogue, b"", b"a/b", 2) == ["a0", "b"]
        assert self.keys(catalogue, b"a", b"a") == ["a/", "a/b", "a0"]
        assert self.keys(catalogue, b"b", b"a/") == ["b"]
        assert self.keys(catalogue, b"a", b"b") == []

    def test_wildcards_of_sql_are_plain_characters(self, catalogue: Catalogue) -> None:
        for number, name in enumerate(["a%b", "aXb", "a_b"]):
            catalogue.put(item(name, f"g{number}"), b"", ALWAYS)
        assert self.keys(catalogue, b"a%") == ["a%b"]
        assert self.keys(catalogue, b"a_") == ["a_b"]

    def test_uploads_are_listed_by_key_and_id(self, catalogue: Catalogue) -> None:
        made = [Upload(f"u{number}", "data", key, 1.0, FULL, "CRC32", "COMPOSITE") for number, key in enumerate("bab")]
        for upload in made:
            catalogue.add_upload(upload)
        assert catalogue.upload("u1") == made[1]
        assert [each.id for each in catalogue.uploads("data", b"", (b"", ""), 9)] == ["u1", "u0", "u2"]
        assert [each.id for each in catalogue.uploads("data", b"b", (b"b", "u0"), 9)] == ["u2"]
        assert [each.id for each in catalogue.uploads("data", b"", (b"", ""), 1)] == ["u1"]

    def test_a_part_sent_again_replaces_the_first(self, catalogue: Catalogue) -> None:
        catalogue.add_upload(Upload("u1", "data", "k", 1.0))
        assert catalogue.put_part("u1", Part(2, 3, "p1", 1.0), segment("b1"), None) == frozenset()
        assert catalogue.put_part("u1", Part(2, 3, "p2", 2.0, {"CRC32": "x"}), segment("b2"), None) == {"b1"}
        assert catalogue.parts("u1", 0, 9) == (Part(2, 3, "p2", 2.0, {"CRC32": "x"}),)
        assert catalogue.parts("u1", 2, 9) == ()
        with pytest.raises(NotFound):
            catalogue.put_part("none", Part(1, 3, "p", 1.0), segment("b3"), None)

    def test_a_copied_part_needs_its_source(self, catalogue: Catalogue) -> None:
        catalogue.put(item("from"), segment("b1"), ALWAYS)
        catalogue.add_upload(Upload("u1", "data", "k", 1.0))
        catalogue.put_part("u1", Part(1, 2, "p", 1.0), (Segment("b1", 1, 2),), Copied("data", "from", "g1"))
        assert catalogue.remove("data", "from", ALWAYS) == frozenset()
        with pytest.raises(NotFound):
            catalogue.put_part("u1", Part(1, 2, "p", 1.0), segment("b1"), Copied("data", "from", "g1"))
        assert catalogue.remove_upload("u1") == {"b1"}

    def complete(
        self, catalogue: Catalogue, etags: Mapping[int, str], condition: Condition = ALWAYS, key: str = "k"
    ) -> frozenset[str]:
        return catalogue.complete("u1", item(key, "u1"), etags, condition)

    def with_parts(self, catalogue: Catalogue) -> None:
        catalogue.add_upload(Upload("u1", "data", "k", 1.0))
        for number in (3, 1, 2):
            catalogue.put_part("u1", Part(number, 3, f"p{number}", 1.0), segment(f"b{number}"), None)

    def test_completing_names_the_chosen_parts_in_order_and_frees_the_rest(self, catalogue: Catalogue) -> None:
        self.with_parts(catalogue)
        catalogue.put(item("k", "old"), segment("b0"), ALWAYS)
        assert self.complete(catalogue, {3: "p3", 1: "p1"}) == {"b0", "b2"}
        assert catalogue.get("data", "k") == (item("k", "u1"), (*segment("b1"), *segment("b3")))
        assert catalogue.upload("u1") is None
        assert catalogue.parts("u1", 0, 9) == ()
        with pytest.raises(NotFound):
            self.complete(catalogue, {1: "p1"})

    def test_completing_with_another_part_changes_nothing(self, catalogue: Catalogue) -> None:
        self.with_parts(catalogue)
        for etags in ({1: "other"}, {1: "p1", 9: "p9"}):
            with pytest.raises(InvalidPart):
                self.complete(catalogue, etags)
        with pytest.raises(PreconditionFailed):
            self.complete(catalogue, {1: "p1"}, Condition(match="e0"))
        assert catalogue.get("data", "k") is None
        assert len(catalogue.parts("u1", 0, 9)) == 3

    def test_giving_up_frees_every_part(self, catalogue: Catalogue) -> None:
        self.with_parts(catalogue)
        assert catalogue.referenced(["b1", "b2", "b7"]) == {"b1", "b2"}
        assert catalogue.remove_upload("u1") == {"b1", "b2", "b3"}
        with pytest.raises(NotFound):
            catalogue.remove_upload("u1")
