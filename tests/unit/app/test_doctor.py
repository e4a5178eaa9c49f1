"""What doctor says of sandbox and network on machines of every kind: what is refused, and how to mend it."""

from pathlib import Path

import pytest

from modelyard.app.doctor import Finding, examine
from modelyard.runners.process.probe import SandboxReport

FULL = SandboxReport("bubblewrap", ("/usr/bin/bwrap works",), bwrap="/usr/bin/bwrap", pasta="/usr/bin/pasta")
NO_PASTA = SandboxReport(
    "bubblewrap", ("/usr/bin/bwrap works",), bwrap="/usr/bin/bwrap", no_network="pasta is not installed",
    network_mend="apt install passt.",
)  # fmt: skip
NONE = SandboxReport("none", ("bubblewrap is not installed",), "apt install bubblewrap.")
LANDLOCK = SandboxReport("landlock", ("namespaces are refused", "Landlock holds files, but not UDP"), "Allow them.")


def found(tmp_path: Path, report: SandboxReport, what: str, **given: object) -> Finding:
    findings = examine({"data_dir": tmp_path / "data", **given}, lambda command: report)
    [one] = [finding for finding in findings if finding.what == what]
    return one


def test_with_all_there_is_nothing_to_mend(tmp_path: Path) -> None:
    for what in ("sandbox", "network"):
        finding = found(tmp_path, FULL, what)
        assert finding.state == "ok" and not finding.mend


def test_without_a_sandbox_it_names_what_is_refused_and_what_runs_open(tmp_path: Path) -> None:
    finding = found(tmp_path, NONE, "sandbox")
    assert finding.state == "problem"
    for words in ("tier none", "bubblewrap is not installed", "Refused are endpoints", "EnableNetworkIsolation",
                  "only wheels", "all rights of the user"):  # fmt: skip
        assert words in finding.message
    assert finding.mend.startswith("apt install bubblewrap.")
    assert "MODELYARD_ALLOW_UNSANDBOXED=true" in finding.mend


def test_landlock_alone_is_a_problem_too_and_says_what_it_holds(tmp_path: Path) -> None:
    finding = found(tmp_path, LANDLOCK, "sandbox")
    assert finding.state == "problem"
    for words in ("tier landlock", "Refused are endpoints", "held to their own files", "not UDP"):
        assert words in finding.message


@pytest.mark.parametrize(("report", "held"), [(NONE, "all rights of the user"), (LANDLOCK, "their own files")])
def test_where_it_is_allowed_all_the_same_it_warns(tmp_path: Path, report: SandboxReport, held: str) -> None:
    finding = found(tmp_path, report, "sandbox", allow_unsandboxed=True)
    assert finding.state == "warning"
    assert "allow_unsandboxed is set" in finding.message and held in finding.message
    assert "Refused" not in finding.message
    assert finding.mend == report.mend


@pytest.mark.parametrize(
    ("report", "host", "why", "mend"),
    [
        (NO_PASTA, "127.0.0.1", "pasta is not installed", "apt install passt."),
        (NONE, "127.0.0.1", "there is no sandbox", "See sandbox."),
        (LANDLOCK, "127.0.0.1", "there is no sandbox", "See sandbox."),
        (FULL, "127.0.0.5", "cannot reach http://127.0.0.5:8080", "Listen on 127.0.0.1"),
    ],
)
def test_a_shared_network_is_named_with_what_it_costs(
    tmp_path: Path, report: SandboxReport, host: str, why: str, mend: str
) -> None:
    finding = found(tmp_path, report, "network", host=host)
    assert finding.state == "warning"
    for words in (why, "loopback are in their reach", "collide on their ports"):
        assert words in finding.message
    assert finding.mend.startswith(mend)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::", "::1", "192.0.2.7", "fd00::7"])
def test_other_addresses_are_in_reach_of_a_network_of_its_own(tmp_path: Path, host: str) -> None:
    assert found(tmp_path, FULL, "network", host=host).state == "ok"


def test_a_refusal_says_what_why_and_what_to_do() -> None:
    said = NONE.refuses("A job that must not use the network")
    assert said.startswith("A job that must not use the network needs a sandbox, and this machine gives none: bubble")
    assert "apt install bubblewrap." in said and "allow_unsandboxed" in said
    assert "only Landlock, which holds files alone" in LANDLOCK.refuses("A model")
