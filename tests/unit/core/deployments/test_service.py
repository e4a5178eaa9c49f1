"""What doors may ask of deployments, and how it is refused."""

from __future__ import annotations

import pytest

from modelyard.base.errors import AlreadyExists, Invalid, LimitExceeded, NotFound
from modelyard.base.paging import Listing
from modelyard.core.deployments.model import EndpointState, NewConfig, Variant
from modelyard.core.deployments.service import UnknownVariant
from modelyard.core.deployments.states import TRANSITIONS, EndpointBusy, check
from modelyard.core.models.tags import TagService
from modelyard.stores.sql.tags import SqlTagTable
from tests.unit.core.deployments.world import World


def test_a_configuration_is_found_by_id_and_exact_name(world: World) -> None:
    made = world.service.create_config(
        NewConfig("Blue-1", "sagemaker", "eu-west-1", (Variant("A", "m1", weight=0.5),), {"KmsKeyId": "k"})
    )
    assert world.service.get_config(made.id) == world.service.get_config("Blue-1") == made
    assert world.service.find_config("blue-1") == made
    with pytest.raises(NotFound):
        world.service.get_config("blue-1")


def test_names_are_unique_letter_case_ignored(world: World) -> None:
    world.config("c1")
    with pytest.raises(AlreadyExists):
        world.config("C1")
    world.create("Flowers")
    with pytest.raises(AlreadyExists):
        world.create("flowers")


@pytest.mark.parametrize(
    ("variants", "error"),
    [
        ((), Invalid),
        ((Variant("A", "m1"), Variant("a", "m1")), Invalid),
        ((Variant("A", "m1", weight=-1),), Invalid),
        ((Variant("A", "m1", weight=0),), Invalid),
        ((Variant("A", "m1", instance_count=0),), Invalid),
        ((Variant("A", "m1", instance_count=9),), LimitExceeded),
        ((Variant("A", "unknown"),), NotFound),
        ((Variant("A", "m0"),), NotFound),
    ],
)
def test_an_impossible_configuration_is_refused_and_not_kept(world: World, variants, error) -> None:
    with pytest.raises(error) as caught:
        world.service.create_config(NewConfig("bad", "sagemaker", "us-east-1", variants))
    if variants == (Variant("A", "m0"),):
        assert caught.value.fields["kind"] == "model data for model"
    assert world.service.list_configs(Listing()).items == ()


def test_an_endpoint_keeps_its_copy_when_its_configuration_goes(world: World) -> None:
    world.config("c1")
    world.create()
    world.service.delete_config("c1")
    world.settle()
    assert world.get().state is EndpointState.SERVING
    with pytest.raises(NotFound):
        world.service.get_config("c1")
    with pytest.raises(NotFound):
        world.create("another")


def test_only_a_serving_endpoint_can_be_changed(world: World) -> None:
    world.config("c1")
    world.config("c2", Variant("A", "m2"))
    world.create()
    for act in (
        lambda: world.service.update("flowers", "c2"),
        lambda: world.service.update_weights("flowers", {"A": (1.0, None)}),
    ):
        with pytest.raises(EndpointBusy):
            act()
    world.settle()
    world.service.update("flowers", "c2")
    with pytest.raises(EndpointBusy):
        world.service.update("flowers", "c1")
    world.service.delete("flowers")
    with pytest.raises(EndpointBusy):
        world.service.update("flowers", "c1")


def test_an_update_may_keep_weights_and_counts_of_variants_of_the_same_name(world: World) -> None:
    world.serving()
    world.service.update_weights("flowers", {"A": (0.125, 2)})
    world.settle()
    world.config("c2", Variant("A", "m2"), Variant("B", "m1", weight=3))
    world.service.update("flowers", "c2", keep_weights=True, keep_counts=True)
    world.settle()
    shown = [(status.name, status.current_weight, status.current_count) for status in world.get().variants]
    assert shown == [("A", 0.125, 2), ("B", 3, 1)]


def test_weights_name_variants_that_exist_and_sums_that_can_be(world: World) -> None:
    world.serving()
    with pytest.raises(UnknownVariant):
        world.service.update_weights("flowers", {"Z": (1.0, None)})
    with pytest.raises(Invalid):
        world.service.update_weights("flowers", {"A": (0.0, None)})
    with pytest.raises(LimitExceeded):
        world.service.update_weights("flowers", {"A": (None, 9)})
    assert world.get().state is EndpointState.SERVING


def test_endpoints_are_listed_by_state_name_and_time(world: World) -> None:
    world.config("c1")
    for name in ("alpha", "beta", "gamma"):
        world.create(name)
        world.clock.step(1)
    world.settle()
    world.create("delta")
    names = [endpoint.name for endpoint in world.service.list(Listing(limit=2)).items]
    assert names == ["delta", "gamma"]
    serving = Listing(states=frozenset({"serving"}), sort_by="name", order="ascending", limit=2)
    page = world.service.list(serving)
    assert [endpoint.name for endpoint in page.items] == ["alpha", "beta"]
    assert page.next is not None


def test_tags_go_with_their_object(world: World) -> None:
    tags = TagService(SqlTagTable(world.database))
    config = world.service.create_config(
        NewConfig("c1", "sagemaker", "us-east-1", (Variant("A", "m1"),), tags={"team": "a"})
    )
    endpoint = world.service.create("flowers", "c1", "sagemaker", "us-east-1", {"cost": "9"})
    assert (tags.list(config.id), tags.list(endpoint.id)) == ({"team": "a"}, {"cost": "9"})
    world.service.delete_config("c1")
    world.settle()
    world.service.delete("flowers")
    world.settle()
    assert (tags.list(config.id), tags.list(endpoint.id)) == ({}, {})


def test_logs_are_streams_named_after_variant_and_worker(world: World) -> None:
    endpoint = world.serving()
    (folder,) = world.folders()
    (stream,) = world.service.log_streams(endpoint)
    assert (stream.name, stream.first_at) == (f"A/{folder.name}", 1000)
    assert [line.text for line in world.service.read_log(endpoint, stream.name).lines] == ["hello"]
    with pytest.raises(NotFound):
        world.service.read_log(endpoint, "A/other")
    world.pool.die(folder)
    world.settle()
    assert [line.text for line in world.service.read_log(endpoint, stream.name).lines] == ["hello"]
    assert len(world.service.log_streams(endpoint)) == 2


def test_every_state_can_be_deleted_and_failed_only_that() -> None:
    assert all(EndpointState.DELETING in after for state, after in TRANSITIONS.items() if state != "deleting")
    assert TRANSITIONS[EndpointState.FAILED] == {EndpointState.DELETING}
    with pytest.raises(EndpointBusy):
        check("x", EndpointState.FAILED, EndpointState.UPDATING)
