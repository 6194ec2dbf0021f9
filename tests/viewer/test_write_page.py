"""Pages are written as a whole or not at all, and hold the very document."""

from __future__ import annotations

import json
import os
import re
import stat
import threading
from pathlib import Path

import pytest
from maypole.trace.page import page_parts, write_page
from maypole.trace.whole_file import write_whole

from viewer import documents


def embedded(page: str) -> str:
    """What stands in the page's element for the trace, as the HTML standard finds its end."""
    found = re.search(
        r'<script type="application/json" id="maypole-trace">(.*?)</script>\s*</body>', page, re.S
    )
    assert found is not None
    return found[1]


def test_the_page_holds_the_document(tmp_path: Path) -> None:
    document = documents.service()
    write_page(documents.encoded(document), tmp_path / "out.html")
    assert json.loads(embedded((tmp_path / "out.html").read_text())) == document


def test_no_text_ends_the_element_that_holds_it() -> None:
    document = documents.hostile()
    _, inside, _ = page_parts(json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    assert b"</" not in inside
    assert b"<!--" not in inside
    assert json.loads(inside.decode("utf-8", "surrogatepass")) == document


def test_a_document_that_is_cut_short_is_written_all_the_same(tmp_path: Path) -> None:
    write_page(b'{"format": "maypole-tr', tmp_path / "out.html")
    assert embedded((tmp_path / "out.html").read_text()) == '{"format": "maypole-tr'


def test_a_file_that_is_there_is_replaced_and_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "out.html"
    path.write_text("old")
    path.chmod(0o640)
    write_page(b"{}", path)
    assert path.read_text().startswith("<!DOCTYPE html>")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["out.html"]


def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_whole(tmp_path / "out", [b"text"])
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there" / "out")
    write_whole(tmp_path / "link", [b"text"])
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there" / "out").read_bytes() == b"text"


class Full(Exception):
    """Stands for whatever ends the writing in its middle."""


def test_what_fails_in_the_middle_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")

    def parts() -> list[bytes]:
        raise Full

    with pytest.raises(Full):
        write_whole(path, (part for _ in range(1) for part in [b"new", *parts()]))
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["out"]


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, written = os.write, 0

    def write(descriptor: int, data: bytes) -> int:
        nonlocal written
        if written > 1_000:
            raise OSError(28, "No space left on device")
        written += 1_000
        return real(descriptor, data[:1_000])

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(OSError, match="No space left on device; nothing was written") as caught:
        write_page(b"{}", tmp_path / "out.html")
    monkeypatch.undo()
    assert caught.value.filename == str(tmp_path / "out.html")
    assert caught.value.errno == 28
    assert os.listdir(tmp_path) == []


def test_a_device_that_is_full_is_told() -> None:
    with pytest.raises(OSError, match="No space left on device; nothing was written: '/dev/full'"):
        write_page(b"{}", "/dev/full")
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


def test_a_device_stays_a_device() -> None:
    write_page(b"{}", os.devnull)
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


def test_a_pipe_gets_the_page(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(path.read_bytes()))
    reader.start()
    write_page(b"{}", path)
    reader.join(10)
    assert got == [b"".join(page_parts(b"{}"))]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("missing/out.html", FileNotFoundError),
        ("file/out.html", NotADirectoryError),
        ("folder", IsADirectoryError),
    ],
)
def test_a_place_that_cannot_be_written_is_told(tmp_path: Path, name: str, error: type[OSError]) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(error, match="nothing was written") as caught:
        write_page(b"{}", tmp_path / name)
    assert caught.value.filename == str(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_the_right_to_write_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="Permission denied; nothing was written"):
        write_page(b"{}", tmp_path / "out.html")
    tmp_path.chmod(0o700)
