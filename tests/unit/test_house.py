"""The habits that a script can see: how modules open, how long files and functions are, what the front loads."""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2] / "src" / "modelyard"
FILES = sorted(path for path in ROOT.rglob("*.py") if path.read_text().strip())
TREES = {str(path.relative_to(ROOT)): ast.parse(path.read_text()) for path in FILES}
LINES = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in FILES}


def test_a_module_opens_with_two_to_six_lines() -> None:
    opens = {name: len((ast.get_docstring(tree) or "").splitlines()) for name, tree in TREES.items()}
    assert {name: lines for name, lines in opens.items() if not 2 <= lines <= 6} == {}


def test_files_are_short() -> None:
    assert {name: lines for name, lines in LINES.items() if lines > 500} == {}
    assert statistics.median(LINES.values()) < 120


def test_functions_are_short() -> None:
    assert {name: lines for name, lines in _functions() if lines >= 50} == {}


def _functions() -> Iterator[tuple[str, int]]:
    for file, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                yield f"{file}:{node.name}", node.end_lineno - node.lineno + 1


def test_the_front_loads_of_dialects_only_what_it_needs_for_predictions() -> None:
    program = (
        "import sys\n"
        "from modelyard.app import front\n"
        "from modelyard.base.plugins import load_all\n"
        "from modelyard.core.deployments.ports import Predictions\n"
        "load_all('modelyard.dialects', Predictions, 'PREDICTIONS', 'invoke', needed=False)\n"
        "print(*sorted(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(told.stdout.split())
    assert {name for name in loaded if name.startswith("modelyard.dialects.")} == {
        "modelyard.dialects.aws",
        "modelyard.dialects.aws.invoke",
        "modelyard.dialects.aws.refusals",
        "modelyard.dialects.sagemaker",
        "modelyard.dialects.sagemaker.invoke",
    }
    assert loaded.isdisjoint({"botocore", "sqlalchemy", "pydantic", "numpy", "modelyard.core.jobs.service"})
