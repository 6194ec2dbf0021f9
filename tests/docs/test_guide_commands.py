"""The commands of the guide do what their page says: servers answer on maypole, test runs pass."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from docs.blocks import Block, blocks, pages
from frameworks import servers

PAGES = {page: blocks(page) for page in pages()}
SERVED = [block for of_page in PAGES.values() for block in of_page if block.mark == "serves"]
RUN = [block for of_page in PAGES.values() for block in of_page if block.mark == "runs"]
TIMEOUT_S = 50


def prepare(block: Block, folder: Path, port: int = 8000) -> list[str]:
    """Write the page's files and return its command, for this Python and that port.

    The programs stand beside this interpreter; one that does not is not installed, and the test is skipped.
    """
    for other in PAGES[block.page]:
        if other.mark == "file":
            (folder / other.about).parent.mkdir(parents=True, exist_ok=True)
            (folder / other.about).write_text(other.text.replace("8000", str(port)))
    command = shlex.split(block.text.strip().replace("8000", str(port)))
    if command[0] == "python":
        return [sys.executable, *command[1:]]
    program = shutil.which(command[0], path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip(f"not installed: {command[0]}")
    return [program, *command[1:]]


def need(block: Block) -> None:
    """Skip, and say so, where a package that the page installs is missing."""
    for name in filter(None, block.about.split(", ")):
        pytest.importorskip(name, reason=f"not installed: {name}", exc_type=ImportError)


@pytest.mark.parametrize("block", SERVED, ids=str)
def test_server_answers_on_maypole(block: Block, tmp_path: Path) -> None:
    need(block)
    port = servers.free_port()
    command = prepare(block, tmp_path, port)
    log = tmp_path / "log"
    url = f"http://127.0.0.1:{port}/"
    with (
        servers.running(command, port, log, cwd=tmp_path),
        urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer,
    ):
        assert json.load(answer) == {"loop": "maypole"}, log.read_text()


@pytest.mark.parametrize("block", RUN, ids=str)
def test_command_succeeds(block: Block, tmp_path: Path) -> None:
    need(block)
    command = prepare(block, tmp_path)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_server_page_is_tested() -> None:
    tested = {block.page.stem for block in SERVED}
    assert tested >= {"uvicorn", "gunicorn", "hypercorn", "granian", "aiohttp", "fastapi"}
