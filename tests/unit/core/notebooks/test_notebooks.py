"""The law of notebook instances: one table of transitions; without JupyterLab each start ends in failed."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from modelyard.base.clock import SteppedClock
from modelyard.base.errors import AlreadyExists, NotFound
from modelyard.base.ids import CountedIds
from modelyard.base.paging import Listing
from modelyard.core.models.tags import TagService
from modelyard.core.notebooks.lifecycle import LifecycleConfigService
from modelyard.core.notebooks.model import NewNotebook, Notebook, NotebookQuery, NotebookState
from modelyard.core.notebooks.service import MISSING, NotebookService
from modelyard.core.notebooks.states import FROM, WrongState
from modelyard.stores.sql.database import Database
from modelyard.stores.sql.notebooks import SqlLifecycleConfigTable, SqlNotebookTable
from modelyard.stores.sql.tags import SqlTagTable

S = NotebookState


class Bench:
    """The services over one database, and a way to put a notebook into any state."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(f"sqlite:///{folder}/catalogue.db")
        self.database.migrate()
        self.clock = SteppedClock()
        ids = CountedIds()
        self.table = SqlNotebookTable(self.database)
        configs = SqlLifecycleConfigTable(self.database)
        self.notebooks = NotebookService(self.table, configs, self.clock, ids)
        self.configs = LifecycleConfigService(configs, self.clock, ids)
        self.tags = TagService(SqlTagTable(self.database))

    def make(self, name: str = "book", state: NotebookState = S.FAILED, **fields: object) -> Notebook:
        made = self.notebooks.create(NewNotebook(name, "sagemaker", "us-east-1", {"a": 1}, **fields))  # type: ignore[arg-type]
        put = replace(made, state=state, failure_reason=None if state != S.FAILED else made.failure_reason)
        assert self.table.replace(put, seen=made.state)
        return put


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_new_notebook_fails_and_says_what_is_missing(bench: Bench) -> None:
    made = bench.notebooks.create(NewNotebook("book", "sagemaker", "us-east-1", {}, tags={"a": "b"}))
    assert made.state == S.FAILED
    assert made.failure_reason == MISSING
    assert "JupyterLab" in MISSING
    assert bench.notebooks.get("book") == bench.notebooks.get(made.id) == made
    assert bench.tags.list(made.id) == {"a": "b"}
    with pytest.raises(AlreadyExists):
        bench.make("book")


def test_every_state_is_left_only_as_the_table_says(bench: Bench) -> None:
    asks = {
        S.PENDING: bench.notebooks.start,
        S.STOPPING: bench.notebooks.stop,
        S.UPDATING: lambda name: bench.notebooks.update(name, {}),
        S.DELETING: bench.notebooks.delete,
    }
    for number, (state, (target, ask)) in enumerate(product(S, asks.items())):
        made = bench.make(f"book-{number}", state)
        if state in FROM[target]:
            ask(made.name)
            continue
        with pytest.raises(WrongState) as refused:
            ask(made.name)
        assert (refused.value.state, refused.value.target, refused.value.allowed) == (state, target, FROM[target])
        assert bench.notebooks.get(made.id) == made


def test_each_request_settles(bench: Bench) -> None:
    bench.make("running", S.IN_SERVICE)
    assert bench.notebooks.stop("running").state == S.STOPPED
    bench.clock.step(5)
    changed = bench.notebooks.update("running", {"repository": "repo", "document": {"b": 2}})
    assert (changed.state, changed.repository, changed.document) == (S.STOPPED, "repo", {"b": 2})
    assert changed.modified == bench.clock.now()
    assert bench.notebooks.get("running") == changed
    assert bench.notebooks.start("running").failure_reason == MISSING
    assert bench.notebooks.get("running").state == S.FAILED
    bench.notebooks.delete("running")
    with pytest.raises(NotFound):
        bench.notebooks.get("running")


def test_a_notebook_names_only_a_configuration_that_there_is(bench: Bench) -> None:
    with pytest.raises(NotFound):
        bench.make(lifecycle_config="setup")
    with pytest.raises(NotFound):
        bench.notebooks.get("book")
    config = bench.configs.create("setup", "sagemaker", "us-east-1", {"OnStart": []}, {"a": "b"})
    assert bench.make(lifecycle_config="setup").lifecycle_config == "setup"
    with pytest.raises(AlreadyExists):
        bench.configs.create("setup", "sagemaker", "us-east-1", {}, {})
    bench.clock.step(1)
    assert bench.configs.update("setup", {"OnStart": [1]}) == replace(
        config, document={"OnStart": [1]}, modified=bench.clock.now()
    )
    bench.configs.delete("setup")
    assert bench.tags.list(config.id) == {}
    for ask in (bench.configs.get, bench.configs.delete, lambda name: bench.configs.update(name, {})):
        with pytest.raises(NotFound):
            ask("setup")


def test_a_listing_has_the_filters_of_notebooks(bench: Bench) -> None:
    bench.configs.create("setup", "sagemaker", "us-east-1", {}, {})
    bench.make("b", lifecycle_config="setup", repository="https://host/repo")
    bench.make("a", S.STOPPED, more_repositories=("https://host/x", "other"))

    def names(**fields: object) -> list[str]:
        return [book.name for book in bench.notebooks.list(NotebookQuery(**fields)).items]  # type: ignore[arg-type]

    assert names() == ["a", "b"]
    assert names(lifecycle_contains="etu") == names(repository_contains="host/r") == ["b"]
    assert names(more_repositories_include="other") == names(more_repositories_include="https://host/x") == ["a"]
    assert names(more_repositories_include="https://host/") == []
    assert names(listing=Listing(states=frozenset({"stopped"}))) == ["a"]
    assert names(listing=Listing(sort_by="state", order="descending")) == ["a", "b"]
