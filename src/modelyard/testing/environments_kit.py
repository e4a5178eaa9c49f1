"""The contract of core.jobs.ports.Environments as tests: subclass, give the fixture ``environments``, run.

That is the implementation under test, on an empty folder of ``place``; it installs from the folder ``wheels``, where
the kit puts tiny packages. A class has one of each, because building takes a second: what one test builds with
``built`` others use, and whoever needs a build of their own asks for lines that nobody else does. Nothing here
reaches a network.
"""

from __future__ import annotations

import subprocess
import threading
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

from modelyard.base.errors import Invalid
from modelyard.core.jobs.ports import Environments

PUBLISHED = (
    "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3",
    "121021644041.dkr.ecr.cn-northwest-1.amazonaws.com.cn/sagemaker-scikit-learn:0.23-1",
    "246618743249.dkr.ecr.us-west-2.amazonaws.com/sagemaker-xgboost:1.7-1",
    "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.1.0-cpu-py310-ubuntu20.04-sagemaker",
    "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.1.0-gpu-py310",
    "public.ecr.aws/x/pytorch-training@sha256:" + "0" * 64,
    "localhost:5000/sagemaker-scikit-learn",
    "modelyard/script",
    "modelyard/serving:1",
)


def wheel(folder: Path, name: str, version: str, code: str = "") -> None:
    """A wheel of one module that says its version."""
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        file.writestr(f"{name}.py", f"version = {version!r}\n{code}")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: kit\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")


class Built(NamedTuple):
    """An environment that tests share: what was asked for, pip's words, and the interpreter that each asker got."""

    needs: Path
    log: Path
    interpreters: list[Path]

    @property
    def interpreter(self) -> Path:
        return self.interpreters[0]


class EnvironmentsContract:
    """Inherit as ``class TestMine(EnvironmentsContract)``."""

    @pytest.fixture(scope="class")
    @classmethod
    def environments(cls, place: Path, wheels: Path) -> Environments:
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def place(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return tmp_path_factory.mktemp("place")

    @pytest.fixture(scope="class")
    @classmethod
    def wheels(cls, place: Path) -> Path:
        folder = place / "wheels"
        folder.mkdir()
        for version in ("1.0", "2.0"):
            wheel(folder, "yardkit", version)
        return folder

    @pytest.fixture(scope="class")
    @classmethod
    def built(cls, environments: Environments, place: Path) -> Built:
        """An environment on top of the base, asked for by four at once."""
        found = Built(cls.needs(place, "numpy\nyardkit==1.0\n"), place / "log", [])

        def prepare() -> None:
            found.interpreters.append(environments.prepare("sklearn", found.needs, found.log))

        threads = [threading.Thread(target=prepare) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    @staticmethod
    def needs(folder: Path, text: str) -> Path:
        """A requirements.txt in a code folder of its own."""
        path = folder / "code" / "requirements.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def says(self, interpreter: Path, code: str) -> str:
        """What ``interpreter`` prints."""
        done = subprocess.run([str(interpreter), "-I", "-c", code], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    @pytest.mark.parametrize("image", PUBLISHED)
    def test_published_images_of_any_account_are_answered(self, environments: Environments, image: str) -> None:
        assert environments.resolve(image)

    @pytest.mark.parametrize("image", ["tensorflow-training:2.14", "", "no image", "x/sagemaker-scikit-learn-other:1"])
    def test_an_unknown_image_is_refused_naming_those_that_would_do(
        self, environments: Environments, image: str
    ) -> None:
        with pytest.raises(Invalid, match="sagemaker-scikit-learn, sagemaker-xgboost, pytorch-training"):
            environments.resolve(image)

    def test_without_requirements_the_base_answers(self, environments: Environments, tmp_path: Path) -> None:
        interpreter = environments.prepare("sklearn", None, tmp_path / "log")
        code = "from importlib.util import find_spec; import modelyard; print(find_spec('sklearn') is not None)"
        assert self.says(interpreter, code) == "True"

    def test_what_the_base_satisfies_builds_nothing(self, environments: Environments, tmp_path: Path) -> None:
        text = "numpy\nscikit-learn>=1\nnosuch; sys_platform == 'win32'\n"
        interpreter = environments.prepare("sklearn", self.needs(tmp_path, text), tmp_path / "log")
        assert interpreter == environments.prepare("sklearn", None, tmp_path / "log")
        assert not (tmp_path / "log").exists()

    def test_requirements_come_on_top_of_the_base(self, built: Built) -> None:
        told = self.says(built.interpreter, "import yardkit, numpy, modelyard; print(yardkit.version)")
        assert told == "1.0"
        assert "Successfully installed yardkit-1.0" in built.log.read_text()
        assert all(line.partition("\t")[0].isdigit() for line in built.log.read_text().splitlines())

    def test_the_same_requirements_are_built_once(self, environments: Environments, built: Built) -> None:
        assert len(built.interpreters) == 4
        assert environments.prepare("sklearn", built.needs, built.log) == built.interpreter
        assert len(set(built.interpreters)) == 1
        assert built.log.read_text().count("Successfully installed") == 1

    def test_other_requirements_get_an_environment_of_their_own(
        self, environments: Environments, built: Built, tmp_path: Path
    ) -> None:
        second = environments.prepare("sklearn", self.needs(tmp_path, "yardkit==2.0"), tmp_path / "log")
        code = "import yardkit; print(yardkit.version)"
        assert (self.says(built.interpreter, code), self.says(second, code)) == ("1.0", "2.0")

    def test_a_requirement_that_cannot_be_met_is_named_and_leaves_nothing(
        self, environments: Environments, wheels: Path, tmp_path: Path
    ) -> None:
        needs = self.needs(tmp_path, "numpy\nyardkit==1.0\nlatekit==3\n")
        with pytest.raises(Invalid, match=r"requirements\.txt line 3: 'latekit==3' could not be installed"):
            environments.prepare("sklearn", needs, tmp_path / "log")
        wheel(wheels, "latekit", "3")
        interpreter = environments.prepare("sklearn", needs, tmp_path / "log")
        assert self.says(interpreter, "import latekit, yardkit; print(yardkit.version)") == "1.0"

    def test_refused_lines_reach_no_installer(self, environments: Environments, tmp_path: Path) -> None:
        with pytest.raises(Invalid, match=r"line 1: '-e \.' is refused"):
            environments.prepare("sklearn", self.needs(tmp_path, "-e .\n"), tmp_path / "log")
        assert not (tmp_path / "log").exists()
