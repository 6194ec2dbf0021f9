"""Where a recording is written to: a page, a document, a trace for Perfetto."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from maypole import _maypole
from maypole.trace.page import write_page
from maypole.trace.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    AnyPath = str | os.PathLike[str]


class Outputs:
    """The files that a recording ends in.

    Args:
        page: the timeline page; a name that ends in ``.json`` gets the document itself.
        perfetto: a trace that Perfetto opens.
        document: the document itself.

    Raises:
        OSError: if one of them cannot be written; found out now, before anything runs.
    """

    def __init__(
        self,
        page: AnyPath | None = None,
        perfetto: AnyPath | None = None,
        document: AnyPath | None = None,
    ) -> None:
        # The program may change its working folder.
        self._page, self._perfetto, self._document = (
            None if path is None else Path(os.path.abspath(path)) for path in (page, perfetto, document)
        )
        for path in (self._page, self._perfetto, self._document):
            if path is not None:
                check_writable(path)

    def write(self, document: bytes) -> Iterator[Path | OSError]:
        """Write each file; yield its path, or the error that kept it from being written.

        A file that could not be written is not there, or still the one that was there before.
        """
        for path, write in (
            (self._page, _write_page_or_document),
            (self._document, _write_document),
            (self._perfetto, _write_perfetto),
        ):
            if path is not None:
                try:
                    write(document, path)
                except OSError as error:
                    yield error
                else:
                    yield path


def _write_page_or_document(document: bytes, path: Path) -> None:
    (_write_document if path.suffix == ".json" else write_page)(document, path)


def _write_document(document: bytes, path: Path) -> None:
    write_whole(path, (document,))


def _write_perfetto(document: bytes, path: Path) -> None:
    write_whole(path, (_maypole.trace_to_perfetto(document),))


def check_writable(path: Path) -> None:
    """Find out whether a file can be written, without touching one that is there.

    Raises:
        OSError: if it cannot; ``filename`` is the path.
    """
    try:
        if path.exists() and not path.is_file():
            with open(path, "ab") as file:  # a device or a pipe; a folder refuses
                file.write(b"")
            return
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(13, "Permission denied")
        with tempfile.TemporaryFile(dir=os.path.realpath(path.parent)):
            pass
    except OSError as error:
        raise type(error)(error.errno, error.strerror, os.fspath(path)) from None
