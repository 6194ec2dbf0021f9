"""Who may know whom: crates by ``cargo metadata``, the Python package and the course by their imports."""

from __future__ import annotations

import ast
import functools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
CRATES = ROOT / "crates"
PACKAGE = ROOT / "python" / "maypole"

# What each crate may use of the workspace. A crate that is not named here fails: a new edge is a decision.
CRATE_EDGES: dict[str, set[str]] = {
    "maypole-core": set(),
    "maypole-sys": {"maypole-core"},
    "maypole-trace": {"maypole-core"},
    "maypole-flow": {"maypole-core"},
    "maypole-lab": {"maypole-core"},
    "maypole-py": {"maypole-core", "maypole-sys", "maypole-trace", "maypole-flow", "maypole-lab"},
    "maypole": {"maypole-core", "maypole-sys"},
    "maypole-load": set(),  # a tool: load generator and floor servers, which nothing depends on
}
PURE = {"maypole-core", "maypole-trace", "maypole-flow", "maypole-lab"}
# Only these crates may name these dependencies.
OWNERS = {
    "pyo3": {"maypole-py"},
    "rustix": {"maypole-sys", "maypole-load"},
    "socket2": {"maypole-sys"},
    "io-uring": {"maypole-sys"},
}

# What each part of the Python package may import of it. "" is maypole itself, its front page.
PACKAGE_EDGES: dict[str, set[str]] = {
    "platform": set(),
    "versions": set(),
    "stacks": set(),
    "attendants": set(),
    "marks": set(),
    "virtual": {"attendants", "stacks"},
    "loop": {"_maypole", "attendants", "transports", "virtual", "versions", "trace"},
    "transports": {"_maypole", "versions"},
    "natives": {"_maypole", "versions"},
    "trace": {"_maypole", "attendants", "marks", "versions", "stacks"},
    "metrics": {"_maypole"},
    "patterns": {"_maypole", "marks"},
    "testing": {"", "virtual"},
    "lab": {"", "_maypole", "patterns", "trace", "testing"},
    "learn": {"", "testing", "trace", "virtual"},
    "": {"_maypole", "platform", "versions", "loop", "natives"},
}
PACKAGE_EDGES["cli"] = {"_maypole", *PACKAGE_EDGES}  # the program's face knows all; nothing knows it


# What a part may import of others, where the program has installed it as an extra.
EXTRAS: dict[str, set[str]] = {
    "metrics/prometheus.py": {"prometheus_client"},
    "metrics/opentelemetry.py": {"opentelemetry"},
}


@functools.cache
def packages() -> dict[str, Any]:
    """The workspace's crates, as Cargo sees them."""
    done = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--no-deps"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {package["name"]: package for package in json.loads(done.stdout)["packages"]}


def dependencies(crate: str) -> set[str]:
    """What a crate needs to be built and used: no dev-dependencies, and nothing that only loom needs."""
    return {
        dependency["name"]
        for dependency in packages()[crate]["dependencies"]
        if dependency["kind"] != "dev" and dependency["target"] != "cfg(loom)"
    }


def test_every_crate_has_its_row() -> None:
    assert set(packages()) <= set(CRATE_EDGES)


def test_crates_depend_in_one_direction() -> None:
    edges = {name: dependencies(name) & set(CRATE_EDGES) for name in packages()}
    wrong = {name: used - CRATE_EDGES[name] for name, used in edges.items() if used - CRATE_EDGES[name]}
    assert not wrong


def test_the_core_depends_on_nothing() -> None:
    assert dependencies("maypole-core") == set()


def test_each_foreign_crate_has_its_owner() -> None:
    wrong = [
        f"{crate} names {foreign}"
        for crate in packages()
        for foreign, owners in OWNERS.items()
        if foreign in dependencies(crate) and crate not in owners
    ]
    assert not wrong


@pytest.mark.parametrize("crate", sorted(PURE))
def test_pure_crates_forbid_unsafe_code(crate: str) -> None:
    if crate not in packages():
        pytest.skip(f"{crate} is planned, not there")
    sources = sorted((CRATES / crate / "src").rglob("*.rs"))
    assert "#![forbid(unsafe_code)]" in (CRATES / crate / "src" / "lib.rs").read_text()
    code = {path: re.sub(r"//.*", "", path.read_text()) for path in sources}
    assert [str(path) for path, text in code.items() if re.search(r"\bunsafe\s*(\{|fn|impl)", text)] == []


def test_pure_crates_read_no_clock_and_start_no_thread() -> None:
    forbidden = re.compile(
        r"Instant::now|SystemTime::now|thread::(spawn|sleep|Builder)|std::(fs|net|process)\b"
    )
    wrong = [
        f"{path.relative_to(ROOT)}: {found.group()}"
        for crate in sorted(PURE & set(packages()))
        for path in (CRATES / crate / "src").rglob("*.rs")
        if (found := forbidden.search(re.sub(r"//.*", "", path.read_text())))
    ]
    assert not wrong


def nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node that a program can reach: what only a type checker sees is no edge."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        yield from nodes(node)


def imports(path: Path) -> Iterator[str]:
    """The full names of all modules that a file imports when it runs, wherever in the file."""
    for node in nodes(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(module: str) -> str | None:
    """The part of the package that a module belongs to; None for a module of somebody else."""
    top, _, rest = module.partition(".")
    if top != "maypole":
        return None
    name = rest.partition(".")[0]
    return name if name in PACKAGE_EDGES or name == "_maypole" else ""


def package_files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def own_part(path: Path) -> str:
    """The part of the package that a file belongs to."""
    first = path.relative_to(PACKAGE).parts[0]
    name = first.removesuffix(".py")
    return "" if name in ("__init__", "__main__") else name


def test_every_python_part_has_its_row() -> None:
    assert {own_part(path) for path in package_files()} <= set(PACKAGE_EDGES)


@pytest.mark.parametrize("path", package_files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_python_parts_import_in_one_direction(path: Path) -> None:
    part = own_part(path)
    allowed = PACKAGE_EDGES[part] | {part}
    if path.name == "__main__.py":
        allowed = allowed | {"cli"}  # the program's own front door
    named = {of for name in imports(path) if (of := part_of(name)) is not None}
    assert named <= allowed, f"{path.relative_to(ROOT)} imports {named - allowed}"


@pytest.mark.parametrize("path", package_files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_package_needs_the_standard_library_only(path: Path) -> None:
    tops = {name.partition(".")[0] for name in imports(path)}
    extra = EXTRAS.get(str(path.relative_to(PACKAGE)), set())
    assert tops <= set(sys.stdlib_module_names) | extra | {
        "maypole",
        "_typeshed",
    }  # the last is for type checkers only


def test_the_course_uses_nothing_of_ours() -> None:
    files = sorted((ROOT / "course").rglob("*.py"))
    assert files
    wrong = [str(path) for path in files for name in imports(path) if part_of(name) is not None]
    assert not wrong
