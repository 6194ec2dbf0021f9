"""A browser for all tests of the page, and a tab for each."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from maypole.trace.page import write_page
from viewer.chromium import Chromium, ChromiumError, Page, executable

from viewer import documents

Show = Callable[..., Page]
PYTHONS = Path(__file__).resolve().parents[2] / "tools" / "pythons.py"


def tested_elsewhere() -> str | None:
    """The newest Python of this machine, if it is another one: what the browser shows is the same for all."""
    done = subprocess.run([sys.executable, PYTHONS, "--versions"], capture_output=True, text=True)
    versions = done.stdout.split()
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    return versions[-1] if here in versions[:-1] else None


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """One Chromium for the whole run; without one the tests that need it say so and are skipped."""
    path = executable()
    if other := tested_elsewhere():
        pytest.skip(f"the page is the same for every Python: the tests on Python {other} look at it")
    if path is None:
        pytest.skip("no Chromium here (Debian: apt-get install chromium): the page was not tested")
    browser = Chromium(path, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def show(chromium: Chromium, tmp_path: Path) -> Iterator[Show]:
    """Write a document into a page and open that from disk; at the end nothing may have gone wrong in it."""
    pages: list[Page] = []

    def open_page(document: documents.Document | bytes, width: int = 1280, height: int = 800) -> Page:
        path = tmp_path / "trace.html"
        write_page(document if isinstance(document, bytes) else documents.encoded(document), path)
        page = chromium.page(width, height)
        pages.append(page)
        page.prefer("light")
        page.open(path)
        return page

    yield open_page
    for page in pages:
        try:
            assert page.complaints() == []
            assert [
                address for address in page.requests() if not address.startswith(("file:", "data:"))
            ] == []
        except ChromiumError as error:
            pytest.fail(f"the tab is gone: {error}")
        finally:
            page.close()


@pytest.fixture(scope="session")
def service() -> documents.Document:
    """A service with all that a trace can show. Not to be changed."""
    return documents.service()
