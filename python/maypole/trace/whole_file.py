"""Files that are there as a whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["write_whole"]

_MODE = 0o666
"""What a new file may be used for before the process's mask takes its part away, as ``open`` does it."""


def write_whole(path: str | os.PathLike[str], parts: Iterable[bytes]) -> None:
    """Write a file so that nobody ever sees a part of it.

    The bytes go into a temporary file in the same folder, which then takes the name; a file that had the
    name before stays untouched until then, and its permissions go over to the new one. A path that is a
    device or a pipe is written to directly.

    Args:
        path: where the file shall be. A symbolic link is followed.
        parts: the bytes, one piece after the other.

    Raises:
        OSError: the file could not be written; the message says why and ``filename`` is the path. Nothing new
            is left in the folder.

    Example:
        >>> import pathlib, tempfile
        >>> from maypole.trace.whole_file import write_whole
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> write_whole(folder / "notes.txt", [b"one ", b"two"])
        >>> (folder / "notes.txt").read_text(), len(list(folder.iterdir()))
        ('one two', 1)
    """
    try:
        mode = _mode_of(path)
        if mode is not None and not stat.S_ISREG(mode):
            _write_directly(path, parts)
        else:
            _write_beside(Path(os.path.realpath(path)), parts, mode)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(error.errno, f"{reason}; nothing was written", os.fspath(path)) from error


def _mode_of(path: str | os.PathLike[str]) -> int | None:
    """The kind and permissions of what is there; None when nothing is."""
    try:
        return os.stat(path).st_mode
    except FileNotFoundError:
        return None


def _write_directly(path: str | os.PathLike[str], parts: Iterable[bytes]) -> None:
    """Write to a device, a pipe, or whatever refuses to be written to, such as a folder."""
    with open(path, "wb", buffering=0) as file:
        _write_all(file.fileno(), parts)


def _write_beside(target: Path, parts: Iterable[bytes], mode: int | None) -> None:
    """Write a temporary file in the target's folder and give it the target's name."""
    temporary = target.with_name(f".maypole-{secrets.token_hex(8)}.part")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    try:
        try:
            _write_all(descriptor, parts)
            if mode is not None:
                os.fchmod(descriptor, stat.S_IMODE(mode))
        finally:
            os.close(descriptor)
        temporary.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            temporary.unlink()
        raise


def _write_all(descriptor: int, parts: Iterable[bytes]) -> None:
    """Write every byte; the system may take fewer at a time."""
    for part in parts:
        rest = memoryview(part)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
