"""The law of models: one name each, letter case ignored; found by id or name; gone with their tags."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelyard.base.clock import SteppedClock
from modelyard.base.errors import AlreadyExists, LimitExceeded, NotFound
from modelyard.base.ids import CountedIds
from modelyard.base.paging import Between, Listing
from modelyard.core.models.model import Model, ModelContainer, NewModel
from modelyard.core.models.service import ModelService
from modelyard.core.models.tags import TagService
from modelyard.stores.sql.database import Database
from modelyard.stores.sql.models import SqlModelTable
from modelyard.stores.sql.tags import SqlTagTable

CONTAINER = ModelContainer("image:1", "s3://bucket/model.tar.gz", {"A": "1"}, hostname="first")


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database(f"sqlite:///{tmp_path}/catalogue.db")
    database.migrate()
    return database


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def models(database: Database, clock: SteppedClock) -> ModelService:
    return ModelService(SqlModelTable(database), clock, CountedIds())


@pytest.fixture
def tags(database: Database) -> TagService:
    return TagService(SqlTagTable(database))


def make(models: ModelService, name: str | None = None, **fields: object) -> Model:
    new = NewModel("sagemaker", "us-east-1", (CONTAINER,), {"ModelName": name}, name=name, **fields)  # type: ignore[arg-type]
    return models.create(new)


def test_a_model_reads_back_as_it_was_made_by_id_and_by_name(models: ModelService) -> None:
    made = make(models, "Ridge", network=True)
    assert models.get("Ridge") == models.get(made.id) == made
    assert made.containers == (CONTAINER,)
    assert made.network


def test_a_name_is_taken_in_any_letter_case_but_found_only_in_its_own(models: ModelService) -> None:
    made = make(models, "Ridge")
    with pytest.raises(AlreadyExists):
        make(models, "rIDGE")
    with pytest.raises(NotFound):
        models.get("rIDGE")
    assert models.find("rIDGE") == made
    assert len(models.list(Listing()).items) == 1


def test_an_id_wins_over_a_name(models: ModelService) -> None:
    first = make(models, "first")
    make(models, first.id)
    assert models.get(first.id) == first


def test_a_model_of_another_door_is_named_by_rule(models: ModelService) -> None:
    made = make(models, display_name="Ridge (2)")
    assert made.name == "Ridge-2-00000000"
    assert make(models, display_name="Ridge (2)").name == "Ridge-2-000000000000"


def test_deleting_ends_the_tags_and_frees_the_name(models: ModelService, tags: TagService) -> None:
    made = make(models, "Ridge", tags={"a": "1"})
    assert tags.list(made.id) == {"a": "1"}
    models.delete("Ridge")
    assert tags.list(made.id) == {}
    with pytest.raises(NotFound):
        models.delete("Ridge")
    assert make(models, "ridge").id != made.id


def test_a_refused_model_leaves_no_tags(models: ModelService, tags: TagService) -> None:
    make(models, "Ridge")
    with pytest.raises(AlreadyExists):
        make(models, "Ridge", tags={"a": "1"})
    assert tags.list("00000000-0000-4000-8000-000000000002") == {}


@pytest.mark.parametrize("order", ["ascending", "descending"])
@pytest.mark.parametrize("sort_by", ["name", "created"])
def test_pages_hold_every_model_once_also_when_others_go_between(
    models: ModelService, clock: SteppedClock, sort_by: str, order: str
) -> None:
    for number in range(7):
        make(models, f"model-{number}")
        clock.step(number % 2)
    seen: list[str] = []
    listing = Listing(sort_by=sort_by, order=order, limit=2)  # type: ignore[arg-type]
    while True:
        page = models.list(listing)
        seen += [model.name for model in page.items]
        if page.next is None:
            break
        models.delete(seen[-1])
        listing = Listing(sort_by=sort_by, order=order, limit=2, after=page.next)  # type: ignore[arg-type]
    expected = [f"model-{number}" for number in range(7)]
    assert seen == (expected if order == "ascending" else expected[::-1])


def test_a_listing_filters_by_name_and_time(models: ModelService, clock: SteppedClock) -> None:
    start = clock.now()
    for name in ("Alpha", "beta", "alphabet"):
        make(models, name)
        clock.step(10)
    assert [m.name for m in models.list(Listing(name_contains="alpha")).items] == ["alphabet"]
    between = Listing(created=Between(after=start, before=start + 20))
    assert [m.name for m in models.list(between).items] == ["beta"]
    assert models.list(Listing(created=Between(after=start + 20))).items == ()


def test_tags_keep_their_order_and_are_at_most_fifty(tags: TagService) -> None:
    tags.add("x", {"b": "1", "a": "2"})
    assert tags.add("x", {"c": "3", "b": "4"}) == {"b": "4", "a": "2", "c": "3"}
    assert list(tags.list("x")) == ["b", "a", "c"]
    tags.remove("x", ["a", "unknown"])
    assert tags.list("x") == {"b": "4", "c": "3"}
    with pytest.raises(LimitExceeded):
        tags.add("x", {f"k{number}": "" for number in range(49)})
    assert tags.list("x") == {"b": "4", "c": "3"}
    assert tags.list("y") == {}
