"""Links between the Markdown files of the project lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from docs.blocks import ROOT
from test_architecture import tracked_files

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```$", re.M | re.S)
_CODE = re.compile(r"`[^`\n]*`")


def markdown_files() -> list[Path]:
    return sorted(ROOT / path for path in tracked_files() if path.suffix == ".md" and (ROOT / path).exists())


def anchors(page: Path) -> set[str]:
    """The names under which a page's headings can be linked, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", _FENCE.sub("", page.read_text()), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    broken = []
    for target in _LINK.findall(_CODE.sub("", _FENCE.sub("", page.read_text()))):
        path, _, anchor = target.partition("#")
        if re.match(r"\w+:", path):
            continue  # the outside world is not ours to test
        linked = (page.parent / path).resolve() if path else page
        if not linked.exists() or (anchor and linked.suffix == ".md" and anchor not in anchors(linked)):
            broken.append(target)
    return broken


@pytest.mark.parametrize("page", markdown_files(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_resolve(page: Path) -> None:
    assert broken_links(page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One heading\n[a](page.md#one-heading) [b](gone.md) [c](#two) `[d](no.md)`\n")
    assert broken_links(page) == ["gone.md", "#two"]


def linked_from(page: Path, seen: set[Path]) -> None:
    """Collect the pages that a reader of one page can get to."""
    for target in _LINK.findall(page.read_text()):
        linked = (page.parent / target.partition("#")[0]).resolve()
        if linked.suffix == ".md" and linked.exists() and linked not in seen:
            seen.add(linked)
            linked_from(linked, seen)


def test_every_page_below_docs_can_be_reached_from_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    reached: set[Path] = set()
    linked_from(index, reached)
    below = [page for page in markdown_files() if index.parent in page.parents and page != index]
    assert [str(page.relative_to(ROOT)) for page in below if page not in reached] == []
