"""The timeline: one page that holds a trace, opens from disk and asks for nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from maypole.trace.whole_file import write_whole

if TYPE_CHECKING:
    import os

__all__ = ["page_parts", "write_page"]

TEMPLATE = Path(__file__).with_name("timeline.html")
"""The page without a trace; made from ``viewer/src`` by ``viewer/build.py``."""

_BEGIN = b'<script type="application/json" id="maypole-trace">'
_END = b"</script>"


def write_page(document: bytes, path: str | os.PathLike[str]) -> None:
    """Write the timeline page of a trace.

    Args:
        document: a JSON document as docs/reference/trace-format.md describes it. It is not checked: of one
            that is cut short or wrong the page says so, and shows what it can.
        path: where the page shall be; a file that is there is replaced, once the new one is complete.

    Raises:
        OSError: the file could not be written; nothing of it is left. See `write_whole`.

    Example:
        >>> import pathlib, tempfile
        >>> from maypole.trace.page import write_page
        >>> page = pathlib.Path(tempfile.mkdtemp()) / "out.html"
        >>> write_page(b'{"format": "maypole-trace", "version": 1}', page)
        >>> page.read_text().startswith("<!DOCTYPE html>")
        True
    """
    write_whole(path, page_parts(document))


def page_parts(document: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the page of a trace in three pieces: what stands before the document, the document, the rest.

    Args:
        document: as for `write_page`.

    Raises:
        OSError: the page's template cannot be read: maypole is not installed as a whole.
    """
    before, _, after = TEMPLATE.read_bytes().rpartition(_BEGIN + _END)
    return before + _BEGIN, _inside_script(document), _END + after


def _inside_script(document: bytes) -> bytes:
    """Write the same JSON so that no text in it ends the element that holds it.

    Both sequences stand in strings only, where JSON knows these other spellings. ``<!--`` matters because
    behind it a ``<script`` in a text would hide the element's end (HTML, 13.2.5.15 and following).
    """
    return document.replace(b"</", rb"<\/").replace(b"<!--", rb"<\u0021--")
