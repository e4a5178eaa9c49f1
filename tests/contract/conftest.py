"""Which contract tests are slow: those that build environments, load frameworks, or start whole servers."""

from __future__ import annotations

from pathlib import Path

import pytest

SLOW = [Path(__file__).parent / each for each in ("plugins", "ports/test_environments.py", "serving")]


def is_slow(path: Path) -> bool:
    return any(path.is_relative_to(each) for each in SLOW)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if is_slow(item.path):
            item.add_marker(pytest.mark.slow)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The fast loop does not even import them: torch alone takes seconds."""
    return True if config.option.markexpr == "not slow" and is_slow(collection_path) else None
