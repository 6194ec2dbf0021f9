"""CHANGELOG.md is made from the files in changes/."""

from __future__ import annotations

import datetime
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from docs.blocks import ROOT

if TYPE_CHECKING:
    import changelog
else:
    spec = importlib.util.spec_from_file_location("changelog", ROOT / "tools" / "changelog.py")
    changelog = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(changelog)

main, released, section = changelog.main, changelog.released, changelog.section
read_changes, with_unreleased, ChangeError = (
    changelog.read_changes,
    changelog.with_unreleased,
    changelog.ChangeError,
)

OLD = "# Changes\n\n## Unreleased\n\n### Added\n\n- Old.\n\n## 0.1.0 - 2026-01-02\n\n### Fixed\n\n- Older.\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "changes").mkdir()
    (tmp_path / "CHANGELOG.md").write_text(OLD)
    return tmp_path


def add(project: Path, name: str, text: str) -> None:
    (project / "changes" / name).write_text(text)


def test_the_projects_own_changelog_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"], ROOT) == 0, capsys.readouterr().err


def test_changes_are_sorted_by_kind_then_topic(project: Path) -> None:
    add(project, "b.added.md", "Second.\n")
    add(project, "a.added.md", "First,\nin two lines.\n")
    add(project, "a.removed.md", "Gone.\n")
    text = section("## Title", read_changes(project / "changes"))
    assert text == "## Title\n\n### Added\n\n- First, in two lines.\n- Second.\n\n### Removed\n\n- Gone.\n"


def test_long_changes_are_wrapped(project: Path) -> None:
    add(project, "long.fixed.md", "word " * 60)
    lines = section("## Title", read_changes(project / "changes")).splitlines()
    assert len(lines) > 6
    assert max(map(len, lines)) <= 110
    assert all(line.startswith(("- ", "  ")) for line in lines[4:])


@pytest.mark.parametrize(
    "name", ["topic.md", "topic.improved.md", "Topic.added.md", "topic.added.txt", ".added.md"]
)
def test_a_name_without_topic_or_kind_is_refused(project: Path, name: str) -> None:
    add(project, name, "Text.")
    with pytest.raises(ChangeError, match=r"must be <topic>\.<added\|changed\|fixed\|removed>\.md"):
        read_changes(project / "changes")


def test_an_empty_change_is_refused(project: Path) -> None:
    add(project, "topic.added.md", " \n")
    with pytest.raises(ChangeError, match=r"topic\.added\.md is empty"):
        read_changes(project / "changes")


def test_writing_replaces_only_what_is_not_released(project: Path) -> None:
    add(project, "new.added.md", "New.")
    assert main(["--check"], project) == 1
    assert main(["--write"], project) == 0
    assert (project / "CHANGELOG.md").read_text() == OLD.replace("Old.", "New.")
    assert main(["--check"], project) == 0


def test_a_release_keeps_older_sections_and_empties_the_folder(project: Path) -> None:
    add(project, "new.fixed.md", "New.")
    assert main(["--release", "0.2.0"], project) == 0
    text = (project / "CHANGELOG.md").read_text()
    today = datetime.date.today()
    assert f"## Unreleased\n\n## 0.2.0 - {today}\n\n### Fixed\n\n- New.\n\n## 0.1.0 - 2026-01-02\n" in text
    assert list((project / "changes").iterdir()) == []
    assert main(["--check"], project) == 0


@pytest.mark.parametrize(
    ("version", "text"),
    [("0.1.0", "already"), ("1.0", "no version"), ("v1.0.0", "no version"), ("", "no version")],
)
def test_a_version_that_cannot_be_released_is_refused(version: str, text: str) -> None:
    with pytest.raises(ChangeError, match=text):
        released(
            OLD,
            {"added": ["New."], "changed": [], "fixed": [], "removed": []},
            version,
            datetime.date.today(),
        )


def test_a_release_without_changes_is_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--release", "0.2.0"], project) == 1
    assert "there is no change to release" in capsys.readouterr().err
    assert (project / "CHANGELOG.md").read_text() == OLD


def test_a_changelog_without_its_section_is_refused() -> None:
    with pytest.raises(ChangeError, match="has no line '## Unreleased'"):
        with_unreleased("# Changes\n", "## Unreleased\n")


def test_a_project_without_the_folder_has_no_change(project: Path) -> None:
    (project / "changes").rmdir()
    assert not any(read_changes(project / "changes").values())


def test_a_change_is_printed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(project, "new.changed.md", "New.")
    assert main([], project) == 0
    assert capsys.readouterr().out == "## Unreleased\n\n### Changed\n\n- New.\n"
