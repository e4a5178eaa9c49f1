"""The contract of environments, kept by those of the process runner; and what is theirs alone."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from modelyard.app.supervisor import COMMAND
from modelyard.base.errors import Invalid, MissingExtra
from modelyard.core.jobs.images import answer_for
from modelyard.runners.process.confined import Confined
from modelyard.runners.process.environments import ProcessEnvironments
from modelyard.runners.process.rules import Rules
from modelyard.testing.blobs_kit import RecordingDisk
from modelyard.testing.environments_kit import Built, EnvironmentsContract, wheel


def source_package(folder: Path, name: str, code: str) -> None:
    """A source package whose build runs ``code``."""
    setup = f"{code}\nfrom setuptools import setup\nsetup(name={name!r}, version='1.0', py_modules=[{name!r}])"
    files = {"setup.py": setup, f"{name}.py": "", "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"}
    with tarfile.open(folder / f"{name}-1.0.tar.gz", "w:gz") as file:
        for path, content in files.items():
            info = tarfile.TarInfo(f"{name}-1.0/{path}")
            info.size = len(content)
            file.addfile(info, io.BytesIO(content.encode()))


@contextmanager
def pip_settings(**settings: str) -> Iterator[pytest.MonkeyPatch]:
    """The server's own settings of pip are these, PIP_ before each, and none of this machine's."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("PIP_")]:
            patch.delenv(name)
        for name, value in {"CONFIG_FILE": os.devnull, "NO_INDEX": "1", **settings}.items():
            patch.setenv(f"PIP_{name}", value)
        yield patch


class TestProcessEnvironments(EnvironmentsContract):
    @pytest.fixture(scope="class")
    @classmethod
    def environments(cls, place: Path, wheels: Path) -> Iterator[ProcessEnvironments]:
        with pip_settings(FIND_LINKS=str(wheels)):
            yield ProcessEnvironments(place / "envs")

    def test_pip_is_on_the_path_of_a_built_environment(self, built: Built) -> None:
        programs = built.interpreter.parent
        assert {"python3", "pip3", "pip"} <= {entry.name for entry in programs.iterdir()}
        code = "import subprocess as s; print(s.run(['pip3', '--version'], text=True, capture_output=True).returncode)"
        done = subprocess.run(["python3", "-c", code], env={"PATH": str(programs)}, capture_output=True, check=True)
        assert done.stdout.strip() == b"0"

    def test_a_build_that_was_cut_off_is_begun_again(self, environments: ProcessEnvironments, built: Built) -> None:
        root = built.interpreter.parent.parent
        (root / "ready").unlink()
        (root / "lib").rename(root / "lost")
        assert environments.prepare("sklearn", built.needs, built.log.with_name("again")) == built.interpreter
        assert self.says(built.interpreter, "import yardkit; print(yardkit.version)") == "1.0"
        assert not (root / "lost").exists()

    @pytest.mark.usefixtures("environments")
    def test_what_was_installed_is_flushed_before_it_is_ready(self, tmp_path: Path) -> None:
        disk = RecordingDisk()
        environments = ProcessEnvironments(tmp_path / "envs", disk=disk)
        interpreter = environments.prepare("sklearn", self.needs(tmp_path, "yardkit==1.0"), tmp_path / "log")
        built = interpreter.parent.parent.name
        assert [step[:2] for step in disk.steps if step[0] != "sync"] == [
            ("sync_tree", built),
            ("replace", "ready"),
            ("sync_folder", built),
        ]

    def test_the_bases_configuration_of_pip_is_used_and_never_left(
        self, tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "mine.conf").touch()
        monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "mine.conf"))
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
        (tmp_path / "base").mkdir()
        (tmp_path / "base" / "pip.conf").write_text(
            f"[global]\nfind-links = {wheels}\nextra-index-url = https://me:sesame@index.invalid/simple\n"
        )
        environments = ProcessEnvironments(tmp_path / "envs", base=tmp_path / "base" / "bin" / "python")
        interpreter = environments.prepare("sklearn", self.needs(tmp_path, "yardkit==1.0"), tmp_path / "log")
        root = interpreter.parent.parent
        assert (root / "ready").exists() and not (root / "pip.conf").exists()
        assert not [path for path in root.rglob("*") if path.is_file() and b"sesame" in path.read_bytes()]

    def test_source_packages_run_no_code_outside_a_sandbox(
        self, environments: ProcessEnvironments, tmp_path: Path, wheels: Path
    ) -> None:
        marker = tmp_path / "ran"
        source_package(wheels, "evilkit", f"open({str(marker)!r}, 'w')")
        with pytest.raises(Invalid, match="line 1: 'evilkit' could not be installed"):
            environments.prepare("sklearn", self.needs(tmp_path, "evilkit"), tmp_path / "log")
        assert not marker.exists()

    def test_a_newer_version_hides_the_bases(
        self, environments: ProcessEnvironments, tmp_path: Path, wheels: Path
    ) -> None:
        wheel(wheels, "joblib", "99.0")
        interpreter = environments.prepare("sklearn", self.needs(tmp_path, "joblib==99.0"), tmp_path / "log")
        assert self.says(interpreter, "import joblib; print(joblib.version)") == "99.0"


class TestConfinedEnvironments(EnvironmentsContract):
    """The same, with pip in a sandbox."""

    @pytest.fixture(scope="class")
    @classmethod
    def confined(cls, place: Path) -> Confined:
        rules = Rules(supervisor=COMMAND, hidden=(place / "data",), server_lock=place / "lock")
        if rules.report().tier != "bubblewrap":
            pytest.skip("this machine gives no sandboxes")
        return Confined(rules)

    @pytest.fixture(scope="class")
    @classmethod
    def environments(cls, place: Path, wheels: Path, confined: Confined) -> Iterator[ProcessEnvironments]:
        (place / "data").mkdir(mode=0o700)
        (place / "data" / "key").write_text("secret")
        with pip_settings(FIND_LINKS=str(wheels), NO_BUILD_ISOLATION="0"):
            yield ProcessEnvironments(place / "data" / "envs", confine=confined)

    def test_a_source_package_is_built_seeing_nothing_of_ours(
        self, environments: ProcessEnvironments, place: Path, tmp_path: Path, wheels: Path
    ) -> None:
        seen = [str(place / "data" / "key"), str(tmp_path / "code" / "requirements.txt")]
        code = f"import os, sys\nsys.exit('seen') if any(map(os.path.exists, {seen})) else None"
        source_package(wheels, "tamekit", code)
        interpreter = environments.prepare("sklearn", self.needs(tmp_path, "tamekit"), tmp_path / "log")
        assert self.says(interpreter, "import tamekit, numpy; print('ok')") == "ok"
        root = interpreter.parent.parent
        assert not [path for path in root.rglob("*") if path.lstat().st_uid != os.getuid()]
        beside = {entry.name for entry in root.parent.iterdir() if entry.name.startswith(root.name)}
        assert beside == {root.name, f"{root.name}.lock"}

    def test_a_password_of_the_servers_never_meets_a_strangers_build(
        self, environments: ProcessEnvironments, tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://me:sesame@index.invalid/simple")
        source_package(wheels, "spykit", "import os, sys\n'sesame' in str(os.environ) and sys.exit('it was seen')")
        with pytest.raises(Invalid, match="'spykit' could not be installed"):
            environments.prepare("sklearn", self.needs(tmp_path, "spykit"), tmp_path / "log")
        said = (tmp_path / "log").read_text()
        assert "it was seen" not in said and "sesame" not in said
        assert "hold a password, so that only wheels are installed" in said
        interpreter = environments.prepare("sklearn", self.needs(tmp_path, "yardkit<2"), tmp_path / "log")
        assert self.says(interpreter, "import yardkit; print(yardkit.version)") == "1.0"

    def test_a_build_gets_pips_options_and_nothing_else_of_the_servers(
        self, environments: ProcessEnvironments, tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PIP_TOKEN", "sesame")
        source_package(wheels, "nosykit", "import os, sys\n'sesame' in str(os.environ) and sys.exit('it was seen')")
        interpreter = environments.prepare("sklearn", self.needs(tmp_path, "nosykit"), tmp_path / "log")
        assert self.says(interpreter, "import nosykit; print('ok')") == "ok"

    def test_a_package_that_does_not_build_is_named(
        self, environments: ProcessEnvironments, tmp_path: Path, wheels: Path
    ) -> None:
        source_package(wheels, "brokenkit", "raise SystemExit('cannot be built here')")
        with pytest.raises(Invalid, match="line 2: 'brokenkit' could not be installed: error: "):
            environments.prepare("sklearn", self.needs(tmp_path, "numpy\nbrokenkit"), tmp_path / "log")
        assert "cannot be built here" in (tmp_path / "log").read_text()

    def test_a_build_that_outlived_its_server_is_ended_first(
        self, environments: ProcessEnvironments, place: Path, confined: Confined
    ) -> None:
        target = place / "data" / "envs" / "left"
        (target / "bin").mkdir(parents=True)
        command = ["/bin/sh", "-c", f"touch {target}/began; sleep 60"]
        left = threading.Thread(target=confined.run, args=(command, target, {}, [], 60.0))
        left.start()
        while not (target / "began").exists():
            time.sleep(0.01)
        confined.settle(target)
        left.join(10)
        assert not left.is_alive()


def test_a_missing_extra_names_the_line_that_mends_it() -> None:
    with pytest.raises(MissingExtra, match=r"pip install 'modelyard\[torch\]'"):
        answer_for("763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.1", installed=lambda module: False)
    with pytest.raises(MissingExtra, match=r"pip install 'modelyard\[xgboost\]'"):
        answer_for("sagemaker-xgboost:1.7-1", installed=lambda module: False)
