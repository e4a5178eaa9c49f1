"""The contract of environments, kept by those of the process runner; and what is theirs alone."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from modelyard.base.errors import Invalid, MissingExtra
from modelyard.runners.process.environments import ProcessEnvironments
from modelyard.runners.process.images import answer_for
from modelyard.testing.environments_kit import EnvironmentsContract, wheel


class TestProcessEnvironments(EnvironmentsContract):
    @pytest.fixture
    def environments(self, tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch) -> ProcessEnvironments:
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
        return ProcessEnvironments(tmp_path / "envs")

    def test_pip_is_on_the_path_of_a_built_environment(self, environments: ProcessEnvironments, tmp_path: Path) -> None:
        interpreter = environments.prepare("sklearn", self.needs(tmp_path, "yardkit==1.0"), tmp_path / "log")
        assert {"python3", "pip3", "pip"} <= {entry.name for entry in interpreter.parent.iterdir()}
        shown = self.says(interpreter, "import subprocess as s; print(s.run(['pip3', 'freeze'], text=True).returncode)")
        assert shown.endswith("0")

    def test_a_build_that_was_cut_off_is_begun_again(self, environments: ProcessEnvironments, tmp_path: Path) -> None:
        needs = self.needs(tmp_path, "yardkit==1.0")
        interpreter = environments.prepare("sklearn", needs, tmp_path / "log")
        (interpreter.parent.parent / "ready").unlink()
        (interpreter.parent.parent / "lib").rename(interpreter.parent.parent / "lost")
        assert environments.prepare("sklearn", needs, tmp_path / "log") == interpreter
        assert self.says(interpreter, "import yardkit; print(yardkit.version)") == "1.0"
        assert not (interpreter.parent.parent / "lost").exists()

    def test_source_packages_run_no_code_outside_a_sandbox(
        self, environments: ProcessEnvironments, tmp_path: Path, wheels: Path
    ) -> None:
        marker = tmp_path / "ran"
        with tarfile.open(wheels / "evilkit-1.0.tar.gz", "w:gz") as file:
            setup = f"open({str(marker)!r}, 'w')\nfrom setuptools import setup\nsetup(name='evilkit', version='1.0')"
            for name, content in (
                ("setup.py", setup),
                ("PKG-INFO", "Metadata-Version: 2.1\nName: evilkit\nVersion: 1.0\n"),
            ):
                info = tarfile.TarInfo(f"evilkit-1.0/{name}")
                info.size = len(content)
                file.addfile(info, io.BytesIO(content.encode()))
        with pytest.raises(Invalid, match="line 1: 'evilkit' could not be installed"):
            environments.prepare("sklearn", self.needs(tmp_path, "evilkit"), tmp_path / "log")
        assert not marker.exists()

    def test_the_command_goes_through_the_sandbox_that_is_given(
        self, tmp_path: Path, wheels: Path, environments: ProcessEnvironments
    ) -> None:
        seen: list[tuple[list[str], Path]] = []

        def confine(command: list[str], folder: Path) -> list[str]:
            seen.append((command, folder))
            return ["env", *command]

        own = ProcessEnvironments(tmp_path / "confined", confine=confine)  # type: ignore[arg-type]
        interpreter = own.prepare("sklearn", self.needs(tmp_path, "yardkit==2.0"), tmp_path / "log")
        ((command, folder),) = seen
        assert folder == interpreter.parent.parent
        assert "--only-binary=:all:" not in command

    def test_a_newer_version_hides_the_bases(
        self, environments: ProcessEnvironments, tmp_path: Path, wheels: Path
    ) -> None:
        wheel(wheels, "joblib", "99.0")
        interpreter = environments.prepare("sklearn", self.needs(tmp_path, "joblib==99.0"), tmp_path / "log")
        assert self.says(interpreter, "import joblib; print(joblib.version)") == "99.0"


def test_a_missing_extra_names_the_line_that_mends_it() -> None:
    with pytest.raises(MissingExtra, match=r"pip install 'modelyard\[torch\]'"):
        answer_for("763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.1", lambda module: False)
    with pytest.raises(MissingExtra, match=r"pip install 'modelyard\[xgboost\]'"):
        answer_for("sagemaker-xgboost:1.7-1", lambda module: False)
