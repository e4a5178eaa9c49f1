"""Building a virtual environment on top of the base and installing into it with pip.

Owns pip's command line, its environment and the reading of its failures. pip is used because the libraries
here were resolved with it (uv does not look where this torch lies).
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sysconfig
import threading
import time
import venv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from modelyard.base.disk import write_all
from modelyard.base.errors import Invalid, Unavailable
from modelyard.core.jobs.requirements import Line, Requirements
from modelyard.runners.process.confined import Confined

_PIP = "import sys\nfrom pip._internal.cli.main import main\nsys.exit(main())\n"
_KEPT = ("PATH", "LANG", "LC_ALL", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_OPTIONS = (
    *("CERT", "CLIENT_CERT", "CONFIG_FILE", "CONSTRAINT", "DEFAULT_TIMEOUT", "EXTRA_INDEX_URL", "FIND_LINKS"),
    *("INDEX_URL", "NO_BUILD_ISOLATION", "NO_INDEX", "ONLY_BINARY", "PRE", "PREFER_BINARY", "PROXY", "RETRIES"),
    *("TIMEOUT", "TRUSTED_HOST", "USE_DEPRECATED", "USE_FEATURE"),
)
"""Of pip's options those that the server's environment may set, each as PIP_<name>."""
_PASSWORD = re.compile(r"://[^/\s@]+@|^\s*client-cert\s*[=:]", re.MULTILINE)
"""A URL with a user in it, or the key of a client, in a setting of pip."""
_LONGEST = 10_000
"""Characters of one of pip's lines that are kept."""
_AT_WORK = re.compile(
    r"^\s*(?:Collecting|Processing) (?:\S*/)?([A-Za-z0-9][A-Za-z0-9._-]*?)(?=-\d|[\s=<>!~;\[]|$)", re.MULTILINE
)
_BLAMED = re.compile(
    r"(?:Could not find a version that satisfies the requirement|No matching distribution found for|"
    r"Failed to build|Cannot install|metadata for|THESE PACKAGES DO NOT MATCH THE HASHES[^\n]*\n\s*|"
    r"requires? |depends on |Failed building wheel for|╰─>)\s*([A-Za-z0-9][A-Za-z0-9._-]*)"
)


@contextmanager
def only_builder(lock: Path) -> Iterator[None]:
    """Wait until no other thread or process builds what ``lock`` stands for."""
    fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def create(target: Path, base: Path) -> None:
    """A virtual environment at ``target`` that sees the packages of ``base``, with pip3 on its PATH and, until
    ``install`` is done, the configuration of the base's pip."""
    venv.EnvBuilder(with_pip=False, symlinks=True).create(target)
    site = next((target / "lib").glob("python*")) / "site-packages"
    seen = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    lines = [f"import site; site.addsitedir({folder!r})" for folder in sorted(seen)]
    (site / "modelyard-base.pth").write_text("\n".join(lines) + "\n")
    configured = base.parent.parent / "pip.conf"
    if configured.is_file():
        shutil.copy(configured, target / "pip.conf")
    for name in ("pip", "pip3"):
        script = target / "bin" / name
        script.write_text(f"#!{target / 'bin' / 'python'} -I\n{_PIP}")
        script.chmod(0o755)


def open_to_all(target: Path) -> None:
    """Let every user read ``target``, whatever the umask was: a sandbox may run as another one."""
    for folder, _folders, names in os.walk(target):
        Path(folder).chmod(0o755)
        for name in names:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def say(log: Path, text: str) -> None:
    """Append a line to a job's log in its own form."""
    log.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        stamped = "".join(f"{time.time_ns() // 1_000_000}\t{line[:_LONGEST]}\n" for line in text.splitlines())
        write_all(fd, stamped.encode("utf-8", "replace"))
    finally:
        os.close(fd)


def install(target: Path, wanted: Requirements, log: Path, *, confine: Confined | None, timeout: float) -> None:
    """Install ``wanted`` into ``target``, which jobs may read afterwards: pip's configuration is gone from it.

    A password of the server's never meets the code of a source package: with one only wheels are installed, by the
    server itself. Raises Invalid naming the line that pip could not install, Unavailable after ``timeout`` seconds.
    """
    listed, bounds = target / "requirements.txt", target / "constraints.txt"
    listed.write_text("".join(f"{line.whole}\n" for line in wanted.lines))
    bounds.write_text("".join(f"{line.whole}\n" for line in wanted.constraints))
    command = [str(target / "bin" / "python"), "-I", "-m", "pip", "install", "--no-input", "--no-cache-dir"]
    command += ["--disable-pip-version-check", "--no-warn-script-location", "--progress-bar=off"]
    command += [word for option in wanted.indexes for word in option]
    command += ["-r", str(listed), "-c", str(bounds)]
    say(log, f"modelyard: installing {', '.join(line.text for line in wanted.lines)}")
    own = _own_settings()
    configurations = [*_configurations(own), target / "pip.conf"]
    if confine is not None and _hold_password(own, command, configurations):
        say(log, "modelyard: the server's settings of pip hold a password, so that only wheels are installed")
        confine = None
    try:
        if confine is None:
            code, words = _run([*command, "--only-binary=:all:"], target, log, own, timeout)
        else:
            code, words = confine.run(command, target, own, configurations[:-1], timeout)
            say(log, words)
    finally:
        (target / "pip.conf").unlink(missing_ok=True)
    if code is None:
        raise Unavailable(what=f"installing the requirements took longer than {timeout:.0f} s, or: {words[-300:]}")
    if code != 0:
        raise Invalid(what=_blame(words, wanted.lines))


def _own_settings() -> dict[str, str]:
    """What the server's own environment says of networks and packages; nothing else of it."""
    kept = {*_KEPT, *(f"PIP_{option}" for option in _OPTIONS)}
    found = {name: value for name, value in os.environ.items() if name in kept}
    mine = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "pip" / "pip.conf"
    if mine.is_file():
        found.setdefault("PIP_CONFIG_FILE", str(mine))
    return found


def _hold_password(own: Mapping[str, str], command: Sequence[str], configurations: Sequence[Path]) -> bool:
    texts = [path.read_text("utf-8", "replace") for path in configurations if path.is_file()]
    return "PIP_CLIENT_CERT" in own or any(_PASSWORD.search(text) for text in (*own.values(), *command, *texts))


def _configurations(own: Mapping[str, str]) -> list[Path]:
    """Files that these settings and pip itself look at, for a sandbox to show."""
    named = ["/etc/pip.conf", "/etc/xdg/pip/pip.conf"]
    named += [own[name] for name in ("PIP_CONFIG_FILE", "PIP_CERT", "PIP_FIND_LINKS") if name in own]
    return [Path(name) for name in named if name.startswith("/") and name != os.devnull and Path(name).exists()]


def _run(
    command: Sequence[str], target: Path, log: Path, own: Mapping[str, str], timeout: float
) -> tuple[int | None, str]:
    temporary = target / "tmp"
    temporary.mkdir(exist_ok=True)
    process = subprocess.Popen(
        command,
        env={**own, "HOME": str(temporary), "TMPDIR": str(temporary)},
        cwd=target,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    late = threading.Timer(timeout, lambda: os.killpg(process.pid, signal.SIGKILL))
    late.start()
    words: list[str] = []
    try:
        assert process.stdout is not None
        for raw in process.stdout:
            line = raw.decode("utf-8", "replace").rstrip()
            words.append(line)
            say(log, line)
        code = process.wait()
    finally:
        late.cancel()
        process.kill()
        shutil.rmtree(temporary, ignore_errors=True)
    return (code if code >= 0 else None), "\n".join(words)


def _blame(words: str, lines: tuple[Line, ...]) -> str:
    """pip's first error, and the line that it is about where its words name one."""
    errors = [line.strip() for line in words.splitlines() if line.strip().lower().startswith("error:")]
    errors = errors or [words.strip()[-300:]]
    error = next((line for line in errors if "No matching distribution" in line), errors[0])[:500]
    # Older pips name no package in the error: it is about the one they were at work on.
    for named in (_BLAMED.findall(words), _AT_WORK.findall(words)[-1:]):
        blamed = {_plain(name) for name in named}
        for line in lines:
            if _plain(line.name) in blamed:
                return f"{line.where}: {line.text!r} could not be installed: {error}"
    return f"{lines[0].file} could not be installed: {error}"


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
