"""What a network of a job's own is asked to show: forwarded ports, name servers, pip's own indexes."""

from pathlib import Path

import pytest

from modelyard.runners.process.confined import _local_ports
from modelyard.runners.process.networks import NO_PORTS, Uplink, local_resolver, resolver_file
from modelyard.runners.process.rules import way_to


@pytest.mark.parametrize(
    ("url", "uplink"),
    [
        ("http://127.0.0.1:8080", Uplink("", (8080,))),
        ("http://localhost:8080", Uplink("", (8080,))),
        ("https://127.0.0.1", Uplink("", (443,))),
        ("http://[::1]:8080", Uplink("", (8080,), six=True)),
        ("http://192.0.2.7:8080", NO_PORTS),
        ("http://127.0.0.5:8080", None),
    ],
)
def test_the_way_to_a_server(url: str, uplink: Uplink | None) -> None:
    assert way_to(url) == uplink


def test_a_name_server_on_loopback_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text("search lan\nnameserver 127.0.0.53\nnameserver ::1\nnameserver 192.0.2.9\noptions edns0\n")
    assert local_resolver(file)
    assert resolver_file(file) == b"search lan\nnameserver 169.254.1.1\nnameserver 192.0.2.9\noptions edns0\n"
    file.write_text("nameserver 192.0.2.9\n# nameserver 127.0.0.1\n")
    assert not local_resolver(file)
    assert not local_resolver(tmp_path / "missing")


def test_indexes_and_proxies_of_this_machine_stay_in_reach() -> None:
    texts = ["index-url = http://me:word@localhost:3141/simple", "https://127.0.0.1/simple", "[::1]:3128"]
    assert _local_ports(texts) == (443, 3128, 3141)
    assert _local_ports(["https://pypi.org:444/simple", "http://notlocalhost:99", "http://127.0.0.1.evil.org:7"]) == ()
