"""Put the timeline page together: one HTML file out of viewer/src.

    python viewer/build.py            write python/maypole/trace/timeline.html
    python viewer/build.py --check    exit code 1 if that file is not what viewer/src makes

The sources are modules of JavaScript that import each other by name. A page opened from disk may not load
modules, so they are put behind each other in the order of their imports, and the lines that import and export
are left out. Names of the top level are therefore the page's: two files may not use the same one.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import re
from pathlib import Path

SOURCES = Path(__file__).resolve().parent / "src"
PAGE = SOURCES.parent.parent / "python" / "maypole" / "trace" / "timeline.html"
MAIN = "main.js"

_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([\w-]+\.js)";\n', re.M)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:const|let|function|class)\b)", re.M)
_NAME = re.compile(r"^(?:export )?(?:async )?(?:const|let|function\*?|class) (\w+)", re.M)
_LEFT_OVER = re.compile(r"^(?:import|export)\b.*", re.M)


class BuildError(Exception):
    """A source is not as this small build needs it."""


def in_order(main: str, sources: dict[str, str]) -> list[str]:
    """Return the names of all modules that the main one needs, each behind those that it imports.

    Raises:
        BuildError: for a module that is not there, a circle of imports, and a module that nobody imports.
    """
    order: list[str] = []
    open_modules: list[str] = []

    def visit(name: str, importer: str) -> None:
        if name in order:
            return
        if name not in sources:
            raise BuildError(f"{importer} imports {name}, which is not there")
        if name in open_modules:
            raise BuildError(f"a circle of imports: {' -> '.join([*open_modules, name])}")
        open_modules.append(name)
        for _, imported in _IMPORT.findall(sources[name]):
            visit(imported, name)
        open_modules.pop()
        order.append(name)

    visit(main, "the page")
    if unused := sorted(set(sources) - set(order)):
        raise BuildError(f"nobody imports {', '.join(unused)}")
    return order


def check_names(order: list[str], sources: dict[str, str]) -> None:
    """Hold that each name is given once, and that what is imported is exported there.

    Raises:
        BuildError: naming the two files.
    """
    owner: dict[str, str] = {}
    for file in order:
        for name in _NAME.findall(sources[file]):
            if name in owner:
                raise BuildError(f"{file} and {owner[name]} both have a {name}")
            owner[name] = file
    for file in order:
        for names, imported in _IMPORT.findall(sources[file]):
            for name in filter(None, (part.strip() for part in names.split(","))):
                if not re.search(rf"^export (?:async )?\w+\*? {name}\b", sources[imported], re.M):
                    raise BuildError(f"{file} imports {name}, which {imported} does not export")


def script(sources: dict[str, str], main: str = MAIN) -> str:
    """Return the one script that all modules make.

    Raises:
        BuildError: a source is not as this build needs it.
    """
    order = in_order(main, sources)
    check_names(order, sources)
    parts = ['"use strict";', "(() => {"]
    for file in order:
        text = _EXPORT.sub("", _IMPORT.sub("", sources[file])).strip()
        if left := _LEFT_OVER.search(text):
            raise BuildError(f"{file}: this build does not know the line {left[0]!r}")
        parts.append(f"// ---- {file}\n{text}")
    parts.append("})();")
    text = "\n\n".join(parts) + "\n"
    if "</script" in text.lower() or "<!--" in text:
        raise BuildError("a source holds what would end the script element")
    return text


def digest(text: str) -> str:
    """The source expression of a content security policy that allows this very text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def page(folder: Path = SOURCES) -> str:
    """Return the whole page, without a trace.

    Raises:
        BuildError: a source is not as this build needs it.
        OSError: a source cannot be read.
    """
    sources = {path.name: path.read_text("utf-8") for path in folder.glob("*.js")}
    styles = "\n" + "\n".join(path.read_text("utf-8") for path in sorted(folder.glob("*.css")))
    code = "\n" + script(sources)
    text = (folder / "template.html").read_text("utf-8")
    values = {"style": styles, "script": code, "style-digest": digest(styles), "script-digest": digest(code)}
    for name, value in values.items():
        if text.count(f"@@{name}@@") != 1:
            raise BuildError(f"template.html must name @@{name}@@ once")
        text = text.replace(f"@@{name}@@", value)
    return text


def main() -> None:
    """Write the page, or compare it with the one that is there.

    Raises:
        SystemExit: with a sentence, when a source is wrong or the page is old.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if the page is old")
    arguments = parser.parse_args()
    try:
        made = page()
    except BuildError as error:
        raise SystemExit(f"viewer/build.py: {error}") from error
    if not arguments.check:
        PAGE.write_text(made, "utf-8")
    elif not PAGE.exists() or PAGE.read_text("utf-8") != made:
        raise SystemExit(f"{PAGE} is not what viewer/src makes: run python viewer/build.py")


if __name__ == "__main__":
    main()
