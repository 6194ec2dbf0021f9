"""Make CHANGELOG.md from the files in changes/.

    python tools/changelog.py                      print what is not released
    python tools/changelog.py --check              exit code 1 if CHANGELOG.md does not say that
    python tools/changelog.py --write              let CHANGELOG.md say it
    python tools/changelog.py --release 0.2.0      turn it into the section of a release, and empty changes/

A change is a file ``changes/<topic>.<kind>.md`` with a sentence or two; its kind is added, changed, fixed or
removed.
The form of the whole is that of https://keepachangelog.com.
"""

from __future__ import annotations

import argparse
import datetime
import re
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("added", "changed", "fixed", "removed")
UNRELEASED = "## Unreleased"
WIDTH = 110

_NAME = re.compile(rf"[a-z0-9][a-z0-9-]*\.({'|'.join(KINDS)})\.md")
_VERSION = re.compile(r"\d+\.\d+\.\d+((a|b|rc)\d+)?")


class ChangeError(Exception):
    """A file in changes/, or CHANGELOG.md itself, is not as it must be."""


def read_changes(folder: Path) -> dict[str, list[str]]:
    """Return the texts of all changes by kind, those of one kind by topic.

    Raises:
        ChangeError: for a name without a known kind, and for an empty file.
    """
    changes: dict[str, list[str]] = {kind: [] for kind in KINDS}
    # Git keeps no empty folder: after a release there is none.
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        name = _NAME.fullmatch(path.name)
        if name is None:
            raise ChangeError(f"{path.name}: the name must be <topic>.<{'|'.join(KINDS)}>.md")
        text = " ".join(path.read_text().split())
        if not text:
            raise ChangeError(f"{path.name} is empty")
        changes[name[1]].append(text)
    return changes


def section(title: str, changes: dict[str, list[str]]) -> str:
    """Return the section of one version; kinds without a change are left out."""
    parts = [title]
    for kind in KINDS:
        if changes[kind]:
            items = (
                textwrap.fill(
                    text, WIDTH, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False
                )
                for text in changes[kind]
            )
            parts.append(f"### {kind.capitalize()}\n\n" + "\n".join(items))
    return "\n\n".join(parts) + "\n"


def with_unreleased(changelog: str, new: str) -> str:
    """Return the changelog with another section in the place of what is not released.

    Raises:
        ChangeError: if it has no such section.
    """
    start = re.search(rf"^{UNRELEASED}$", changelog, re.M)
    if start is None:
        raise ChangeError(f"CHANGELOG.md has no line {UNRELEASED!r}")
    following = re.search(r"^## ", changelog[start.end() :], re.M)
    rest = changelog[start.end() + following.start() :] if following else ""
    return changelog[: start.start()] + new + ("\n" + rest if rest else "")


def released(changelog: str, changes: dict[str, list[str]], version: str, day: datetime.date) -> str:
    """Return the changelog after a release: an empty section of what is not released, then the version's.

    Raises:
        ChangeError: for a version that is none or is there already, and if there is no change.
    """
    if not _VERSION.fullmatch(version):
        raise ChangeError(f"{version!r} is no version: three numbers, and perhaps a1, b1 or rc1")
    if re.search(rf"^## {re.escape(version)} ", changelog, re.M):
        raise ChangeError(f"CHANGELOG.md has a section of {version} already")
    if not any(changes.values()):
        raise ChangeError("there is no change to release")
    return with_unreleased(changelog, f"{UNRELEASED}\n\n" + section(f"## {version} - {day}", changes))


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="exit code 1 if CHANGELOG.md is not up to date")
    what.add_argument("--write", action="store_true", help="bring CHANGELOG.md up to date")
    what.add_argument("--release", metavar="VERSION", help="make the section of a release")
    options = parser.parse_args(arguments)
    folder, path = root / "changes", root / "CHANGELOG.md"
    try:
        changes = read_changes(folder)
        changelog = path.read_text()
        unreleased = section(UNRELEASED, changes)
        if options.release:
            path.write_text(released(changelog, changes, options.release, datetime.date.today()))
            for change in folder.iterdir():
                change.unlink()
        elif options.write:
            path.write_text(with_unreleased(changelog, unreleased))
        elif options.check:
            if with_unreleased(changelog, unreleased) != changelog:
                raise ChangeError("CHANGELOG.md is not up to date: run python tools/changelog.py --write")
        else:
            print(unreleased, end="")
    except (ChangeError, OSError) as error:
        print(f"changelog: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
