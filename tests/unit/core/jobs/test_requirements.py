"""What a requirements.txt may say; each refusal names its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelyard.base.errors import Invalid
from modelyard.core.jobs.requirements import RefusedRequirement, Requirements, read


def reading(root: Path, text: str, **options: object) -> Requirements:
    (root / "requirements.txt").write_text(text)
    return read(root / "requirements.txt", root, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "numpy",
        "scikit-learn>=1.2,<2",
        "pandas [ performance , excel ] ~= 2.2",
        "torch==2.13.* ; python_version >= '3.11' and sys_platform == 'linux'",
        "x===weird+local",
        "requests (>=2.8)",
    ],
)
def test_a_plain_requirement_is_taken(tmp_path: Path, text: str) -> None:
    assert [line.text for line in reading(tmp_path, f"{text}  # why\n").lines] == [text]


def test_hashes_and_continued_lines_are_taken(tmp_path: Path) -> None:
    digest = "sha256:" + "a" * 64
    found = reading(tmp_path, f"# a comment\n\nnumpy==2.4.6 \\\n    --hash={digest} \\\n    --hash={digest}\npandas\n")
    assert [(line.text, line.number, len(line.hashes)) for line in found.lines] == [
        ("numpy==2.4.6", 3, 2),
        ("pandas", 6, 0),
    ]
    assert found.lines[0].whole == f"numpy==2.4.6 --hash={digest} --hash={digest}"


def test_files_of_the_code_folder_are_included(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more/base.txt").write_text("scipy\n-r ../other.txt\n")
    (tmp_path / "other.txt").write_text("joblib\n")
    (tmp_path / "bounds.txt").write_text("numpy<3\n")
    found = reading(tmp_path, "-r more/base.txt\n--constraint=bounds.txt\nnumpy\n")
    assert [(line.where, line.text) for line in found.lines] == [
        ("more/base.txt line 1", "scipy"),
        ("other.txt line 1", "joblib"),
        ("requirements.txt line 3", "numpy"),
    ]
    assert [line.text for line in found.constraints] == ["numpy<3"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("git+https://github.com/x/y", "URLs are not allowed"),
        ("y @ https://example.com/y.whl", "URLs are not allowed"),
        ("y@file:///etc/passwd", "URLs are not allowed"),
        ("https://example.com/y.whl", "URLs are not allowed"),
        ("./local", "paths are not allowed"),
        ("/abs/y.whl", "paths are not allowed"),
        ("..\\y", "paths are not allowed"),
        ("y.whl", "paths are not allowed"),
        ("-e .", "editable installs"),
        ("--editable=git+x", "editable installs"),
        ("-f https://x", "other places to find packages"),
        ("--find-links=/x", "other places to find packages"),
        ("-i https://evil/simple", "package_indexes"),
        ("--index-url https://evil/simple", "package_indexes"),
        ("--extra-index-url=https://evil/simple", "package_indexes"),
        ("--no-index", "the option --no-index is not allowed"),
        ("--trusted-host evil", "the option --trusted-host is not allowed"),
        ("-r ../outside.txt", "only files inside the code folder"),
        ("-r /etc/passwd", "only files inside the code folder"),
        ("-c https://x/c.txt", "only files inside the code folder"),
        ("numpy --global-option=x", "not of the form"),
        ("numpy --config-settings=a=b", "not of the form"),
        ("numpy ; $(id)", "not of the form"),
        ("${HOME}", "variables are not filled in"),
        ("numpy ==", "not of the form"),
        ("two words", "not of the form"),
    ],
)
def test_anything_else_is_refused_by_line(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(RefusedRequirement) as refused:
        reading(tmp_path, f"numpy\n\n{text}\n")
    assert str(refused.value).startswith("requirements.txt line 3: ")
    assert why in str(refused.value)


def test_a_setting_allows_named_indexes(tmp_path: Path) -> None:
    text = "--index-url https://mine/simple/\nnumpy\n"
    assert reading(tmp_path, text, indexes=("https://mine/simple",)).indexes == (
        ("--index-url", "https://mine/simple/"),
    )
    with pytest.raises(RefusedRequirement):
        reading(tmp_path, text, indexes=("https://other/simple",))


def test_links_loops_and_huge_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "link.txt").symlink_to("/etc/passwd")
    with pytest.raises(Invalid, match=r"link\.txt is not a regular file"):
        reading(tmp_path, "-r link.txt")
    with pytest.raises(RefusedRequirement, match="include one another"):
        reading(tmp_path, "-r requirements.txt")
    with pytest.raises(Invalid, match="larger than"):
        reading(tmp_path, "# " + "x" * (1 << 20))
