"""The page of the package is what its sources make, and the small build tells what is wrong with them."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

ROOT = Path(__file__).resolve().parents[2]

if TYPE_CHECKING:
    from types import ModuleType

    build: ModuleType
else:
    spec = importlib.util.spec_from_file_location("viewer_build", ROOT / "viewer" / "build.py")
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)


def test_the_page_of_the_package_is_built_from_these_sources() -> None:
    made = build.page()
    assert build.PAGE.read_text("utf-8") == made, "viewer/src was changed: run python viewer/build.py"


def test_the_page_may_load_nothing() -> None:
    text = build.PAGE.read_text("utf-8")
    assert "default-src 'none'" in text
    markup = re.sub(r"<(script|style)>.*?</\1>", "", text, flags=re.S)
    assert re.findall(r"""(?:src|href)=["'](?!#|data:)[^"']*""", markup) == []
    assert "url(" not in text
    assert "@import" not in text


def test_data_never_becomes_markup() -> None:
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc"
    )
    wrong = [
        f"{path.name}: {found[0]}"
        for path in sorted(build.SOURCES.glob("*.js"))
        if (found := forbidden.search(path.read_text("utf-8")))
    ]
    assert wrong == []


def test_modules_stand_behind_what_they_import() -> None:
    sources = {
        "main.js": 'import { b } from "./b.js";\nimport { c } from "./c.js";\nb(c);\n',
        "b.js": 'import { c } from "./c.js";\nexport function b(value) { return c + value; }\n',
        "c.js": "export const c = 1;\n",
    }
    text = build.script(sources)
    assert [text.index(f"---- {name}") for name in ("c.js", "b.js", "main.js")] == sorted(
        text.index(f"---- {name}") for name in sources
    )
    assert "import" not in text
    assert "export" not in text


@pytest.mark.parametrize(
    ("sources", "sentence"),
    [
        ({"main.js": 'import { a } from "./a.js";\n'}, "main.js imports a.js, which is not there"),
        ({"main.js": "", "a.js": ""}, "nobody imports a.js"),
        (
            {
                "main.js": 'import { a } from "./a.js";\n',
                "a.js": 'import { b } from "./b.js";\nexport const a = 1;\n',
                "b.js": 'import { a } from "./a.js";\nexport const b = 1;\n',
            },
            "a circle of imports: main.js -> a.js -> b.js -> a.js",
        ),
        (
            {
                "main.js": 'import { a } from "./a.js";\nconst b = 1;\n',
                "a.js": "export const a = 1, c = 2;\nconst b = 1;\n",
            },
            "main.js and a.js both have a b",
        ),
        (
            {"main.js": 'import { a } from "./a.js";\n', "a.js": "const a = 1;\n"},
            "main.js imports a, which a.js does not export",
        ),
        ({"main.js": 'import * as a from "./a.js";\n'}, "does not know the line"),
        ({"main.js": 'const end = "</script>";\n'}, "would end the script element"),
    ],
)
def test_a_wrong_source_is_named(sources: dict[str, str], sentence: str) -> None:
    with pytest.raises(build.BuildError, match=re.escape(sentence)):
        build.script(sources)
