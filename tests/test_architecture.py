"""ARCHITECTURE.md's code map names what is there, and what is there is named."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ARCHITECTURE = ROOT / "ARCHITECTURE.md"


def tracked_files() -> list[Path]:
    """The files of the project; outside a Git checkout, those that are no build products."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 0:
        return [Path(line) for line in done.stdout.splitlines()]
    built = {"target", ".venv", "__pycache__"}
    paths = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
    return [path for path in paths if not built & set(path.parts)]


def rooms() -> set[str]:
    """What the map must name: top folders, crates, parts of the Python package."""
    found = set()
    for path in tracked_files():
        if len(path.parts) > 1 and not path.parts[0].startswith("."):
            found.add(f"{path.parts[0]}/")
        if path.parts[0] == "crates":
            found.add(f"crates/{path.parts[1]}/")
        if path.parts[:2] == ("python", "maypole") and len(path.parts) > 3:
            found.add(f"python/maypole/{path.parts[2]}/")
    return found


def named() -> set[str]:
    """Every path that ARCHITECTURE.md writes in backquotes or in a code block's tree."""
    text = ARCHITECTURE.read_text()
    return set(re.findall(r"(?<![\w./-])((?:[\w.-]+/)+(?:[\w.-]+\.\w+)?)", text))


def test_every_room_is_on_the_map() -> None:
    missing = sorted(rooms() - named())
    assert not missing, f"ARCHITECTURE.md does not name {', '.join(missing)}"


def test_every_path_on_the_map_is_there() -> None:
    tops = {path.parts[0] for path in tracked_files()}
    paths = [name for name in named() if name.partition("/")[0] in tops]
    gone = sorted(name for name in paths if not (ROOT / name).exists())
    assert not gone, f"ARCHITECTURE.md names {', '.join(gone)}, which is not there"


@pytest.mark.parametrize("heading", ["Code map", "Invariant:"])
def test_the_document_has_its_parts(heading: str) -> None:
    assert heading.lower() in ARCHITECTURE.read_text().lower()
