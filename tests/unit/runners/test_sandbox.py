"""What a sandbox is asked to show, as bubblewrap's options."""

from pathlib import Path

import pytest

from modelyard.runners.process import sandbox
from modelyard.runners.process.sandbox import Bind, Box

BOX = Box("algo-1", "log", ("true",), {"A": "b"}, (), ("/data",), hosts=("algo-1", "algo-2"))


def options(box: Box, *binds: Bind) -> list[str]:
    return sandbox.arguments(box, binds, {"hosts": 9})


def position(found: list[str], *words: str) -> int:
    """Where ``words`` follow one another."""
    return next(at for at in range(len(found)) if tuple(found[at : at + len(words)]) == words)


@pytest.mark.parametrize(
    "demanded",
    ["--unshare-user", "--disable-userns", "--unshare-pid", "--unshare-ipc", "--new-session", "--die-with-parent"],
)
def test_what_foundations_demands_is_always_there(demanded: str) -> None:
    for network in (True, False):
        assert demanded in options(BOX._replace(private_network=not network))
    assert position(options(BOX), "--cap-drop", "ALL")
    assert position(options(BOX), "--remount-ro", "/")


def test_the_network_goes_unless_it_is_wanted() -> None:
    assert "--unshare-net" in options(BOX)
    assert "--unshare-net" not in options(BOX._replace(private_network=False))


def test_a_hidden_folder_is_covered_between_what_lies_around_and_in_it() -> None:
    found = options(BOX, Bind("/data/envs/x", "/data/envs/x"), Bind("/", "/"), Bind("/stage/0", "/opt/ml", "rw"))
    around = position(found, "--ro-bind", "/", "/")
    cover = position(found, "--tmpfs", "/data")
    assert around < cover < position(found, "--ro-bind", "/data/envs/x", "/data/envs/x")
    assert position(found, "--bind", "/stage/0", "/opt/ml")


def test_a_hidden_folder_that_nothing_shows_needs_no_cover() -> None:
    assert "/data" not in options(BOX)


def test_no_option_can_be_smuggled_in_by_a_variable() -> None:
    with pytest.raises(ValueError, match="NUL"):
        options(BOX._replace(variables={"A": "b\0--bind\0/\0/x"}))
    found = options(BOX._replace(variables={"A": "--share-net"}))
    assert position(found, "--setenv", "A", "--share-net")


def test_hosts_resolve_to_loopback() -> None:
    assert b"127.0.0.1\talgo-2\n" in sandbox.files(BOX)["hosts"]


def test_a_resolver_of_its_own_takes_the_place_of_the_machines() -> None:
    assert "resolv.conf" not in sandbox.files(BOX)
    made = sandbox.files(BOX._replace(resolver="nameserver 169.254.1.1\n"))
    assert made["resolv.conf"] == b"nameserver 169.254.1.1\n"
    found = sandbox.arguments(BOX, (), {"resolv.conf": 9})
    assert position(found, "--ro-bind-data", "9", "/etc/resolv.conf")
    assert "--ro-bind-try" in found and found.count("/etc/resolv.conf") == 1


def test_readable_places_are_shown_once_and_with_what_they_link_to(tmp_path: Path) -> None:
    real = tmp_path / "real"
    (real / "lib").mkdir(parents=True)
    (tmp_path / "link").symlink_to(real)
    paths = [str(tmp_path / "link"), str(real / "lib"), "/usr/bin", "/"]
    found = sandbox.readable_binds(paths, ())
    assert {bind.target for bind in found} == {str(tmp_path / "link"), str(real)}


def test_a_readable_place_in_a_hidden_one_is_shown_although_an_outer_one_is() -> None:
    found = sandbox.readable_binds(["/usr/share/data/envs/x"], ("/usr/share/data",))
    assert [bind.target for bind in found] == ["/usr/share/data/envs/x"]


def test_a_hidden_file_is_covered_by_an_empty_one(tmp_path: Path) -> None:
    secret = tmp_path / "pip.conf"
    secret.write_text("sesame")
    bind = Bind(str(tmp_path), str(tmp_path))
    box = BOX._replace(binds=(bind,), hidden=(str(secret),))
    assert sandbox.files(box)[str(secret)] == b""
    found = sandbox.arguments(box, (bind,), {str(secret): 7})
    shown = position(found, "--ro-bind", str(tmp_path), str(tmp_path))
    assert shown < position(found, "--ro-bind-data", "7", str(secret))
    assert str(secret) not in sandbox.files(BOX._replace(hidden=(str(secret),)))
