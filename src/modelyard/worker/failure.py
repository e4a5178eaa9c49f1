"""The failure file: why the user's code failed, in the words of sagemaker-training's ExecuteUserScriptError.

Owns picking the error out of the last output. Text that the script wrote to /opt/ml/output/failure itself stays.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

TAIL = 64 << 10
"""Bytes of output in which the error is looked for."""

_ERROR = re.compile(
    r"\b\w*(?:Error|Exception)\b|\bTraceback \(most recent call last\)|Invalid requirement|KeyboardInterrupt"
)
_SYNTAX = re.compile(r"(?:SyntaxError|IndentationError|TabError): ")
_TRACEBACK = "Traceback (most recent call last)"


def report(folder: Path, text: str) -> None:
    """Write ``text`` as output/failure below ``folder`` unless the script left words of its own there."""
    target = folder / "output" / "failure"
    try:
        if target.is_file() and target.stat().st_size > 0:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8", "replace")
    except OSError:
        return


def of_script(code: int, command: Sequence[str], tail: str) -> str:
    """The text for a script that ended with ``code`` (negative: a signal) after printing ``tail``."""
    words = [f"ExecuteUserScriptError:\nExitCode {code}", f'ErrorMessage "{_error(tail)}"']
    if code == -9:
        words.append('ExtraInfo "OutOfMemory: Process killed by SIGKILL (signal 9)"')
    return "\n".join([*words, f'Command "{" ".join(command)}"'])


def _error(tail: str) -> str:
    """From the first line that names an error after the last traceback began, else the last line; each once.

    What cannot be read as Python begins with its file and line, which nothing else says.

    >>> _error('x\\nTraceback (most recent call last):\\n  File "a"\\n    raise ValueError("no")\\nValueError: no\\n')
    'raise ValueError("no")\\nValueError: no'
    """
    at = tail.rfind(_TRACEBACK)
    lines = tail[at:].splitlines()[1:] if at >= 0 else tail.splitlines()
    lines = [line.strip(" :\n") for line in lines if line.strip(" ~^")]
    first = next((number for number, line in enumerate(lines) if _ERROR.search(line)), len(lines) - 1)
    if lines and _SYNTAX.match(lines[-1]):
        first = max((number for number, line in enumerate(lines) if line.startswith('File "')), default=first)
    kept = dict.fromkeys(lines[max(first, 0) :])
    return "\n".join(kept).strip()
