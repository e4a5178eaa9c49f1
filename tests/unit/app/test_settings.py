"""Settings: their sources in order, and the table that documents them."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelyard.app.settings import Settings, settings_table
from modelyard.base.errors import Invalid

DOCS = Path(__file__).parents[3] / "docs"


def test_the_documented_table_is_the_real_one() -> None:
    assert settings_table() in (DOCS / "settings.md").read_text()


def test_later_sources_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "modelyard.toml").write_text('port = 1\naccount_id = "111111111111"\nregion = "eu-west-1"\n')
    monkeypatch.setenv("MODELYARD_ACCOUNT_ID", "222222222222")
    monkeypatch.setenv("MODELYARD_REGION", "eu-north-1")
    settings = Settings(data_dir=tmp_path, region="ap-south-1")
    assert (settings.port, settings.account_id, settings.region) == (1, "222222222222", "ap-south-1")


def test_a_misspelt_key_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "modelyard.toml").write_text("prot = 1\n")
    with pytest.raises(Invalid, match="prot"):
        Settings(data_dir=tmp_path)


@pytest.mark.parametrize(("name", "value"), [("port", "abc"), ("allowed_hosts", "no list"), ("account_id", "1")])
def test_a_wrong_variable_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"MODELYARD_{name.upper()}", value)
    with pytest.raises(Invalid, match=name):
        Settings(data_dir=tmp_path)


def test_a_file_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "modelyard.toml").write_text("port =\n")
    with pytest.raises(Invalid, match="cannot be read"):
        Settings(data_dir=tmp_path)


def test_a_named_file_is_read_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other.toml").write_text("port = 7\n")
    monkeypatch.setenv("MODELYARD_CONFIG", str(tmp_path / "other.toml"))
    assert Settings(data_dir=tmp_path / "data").port == 7


def test_paths_hold_from_every_working_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings(data_dir=Path("data"), tls_cert=Path("cert.pem"), tls_key=Path("key.pem"))
    assert (settings.data_dir, settings.tls_cert) == (tmp_path / "data", tmp_path / "cert.pem")


def test_what_is_wrong_in_a_file_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "modelyard.toml"
    for text in ("port = 'abc'\n", "prot = 1\n", "port =\n"):
        file.write_text(text)
        with pytest.raises(Invalid, match=str(file)):
            Settings(data_dir=tmp_path)


def test_what_is_wrong_in_a_variable_names_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "modelyard.toml").write_text("port = 1\n")
    monkeypatch.setenv("MODELYARD_PORT", "abc")
    with pytest.raises(Invalid, match=r"port \(MODELYARD_PORT\)"):
        Settings(data_dir=tmp_path)
    with pytest.raises(Invalid, match="port: "):
        Settings(data_dir=tmp_path, port="abc")


def test_a_named_file_that_is_not_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELYARD_CONFIG", str(tmp_path / "none.toml"))
    with pytest.raises(Invalid, match=rf"MODELYARD_CONFIG names {tmp_path / 'none.toml'}"):
        Settings(data_dir=tmp_path)
