"""Where the socket of a process's agent lies: a file in a folder that only its user can enter."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
import struct
import tempfile
from pathlib import Path

PATH_BYTES_MAX = 107
"""The longest path of a Unix socket; see unix(7)."""


def socket_path(pid: int) -> Path:
    """Choose where the agent of a process listens, and make the folder.

    It is ``$XDG_RUNTIME_DIR/maypole`` where that is set and usable, else ``maypole-UID`` in the folder for
    temporary files.

    Raises:
        OSError: if no folder can be made that belongs to this user alone.
    """
    problems = []
    for folder in _folders():
        path = folder / f"{pid}.sock"
        try:
            if len(os.fsencode(path)) > PATH_BYTES_MAX:
                raise OSError(f"{path} is too long for a Unix socket")
            make_private(folder)
        except OSError as error:
            problems.append(str(error))
        else:
            return path
    raise OSError("no folder for the agent's socket: " + "; ".join(problems))


def _folders() -> list[Path]:
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    own = f"maypole-{os.geteuid()}"
    folders = [Path(runtime) / "maypole"] if os.path.isabs(runtime) else []
    return [*folders, *dict.fromkeys(Path(base, own) for base in (tempfile.gettempdir(), "/tmp"))]


def make_private(folder: Path) -> None:
    """Make a folder with mode 0700, or check that the one that is there is this user's alone.

    Raises:
        OSError: if it cannot be made, is no folder, belongs to somebody else or lets others in.
    """
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise OSError(f"{folder} is no folder")
    if found.st_uid != os.geteuid():
        raise OSError(f"{folder} belongs to another user")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise OSError(f"{folder} lets other users in (mode {stat.S_IMODE(found.st_mode):04o})")


def remove_stale(folder: Path) -> None:
    """Remove the sockets of processes that are gone."""
    for path in folder.glob("*.sock"):
        if path.stem.isdecimal() and not Path("/proc", path.stem).exists() and not _answers(path):
            with contextlib.suppress(OSError):
                path.unlink()


def _answers(path: Path) -> bool:
    """Say whether somebody listens: a process in another container has no number here."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.settimeout(1)
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            return False
        except OSError:
            return True
    return True


def listening_path(pid: int) -> Path | None:
    """Find the socket that the agent of a process listens on, whatever the process's environment says.

    Returns:
        The path as the kernel lists it; None if there is none.
    """
    name = re.compile(rf"(?:/maypole|/maypole-\d+)/{pid}\.sock$")
    try:
        lines = Path("/proc/net/unix").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return None
    for line in lines[1:]:
        fields = line.split(None, 7)
        if len(fields) == 8 and name.search(fields[7]) and os.path.exists(fields[7]):
            return Path(fields[7])
    return None


def peer(connection: socket.socket) -> tuple[int, int]:
    """Return process and user at the other end of a Unix socket; see SO_PEERCRED in unix(7)."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", raw)
    return pid, uid
