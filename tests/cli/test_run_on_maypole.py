"""``maypole run`` puts maypole behind asyncio, on either clock, and says nothing itself."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from maypole import versions

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a program's text under ``maypole run``; options come first."""

    def under_maypole(source: str, *options: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        script = tmp_path / "app.py"
        script.write_text(textwrap.dedent(source))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        command = [sys.executable, "-W", "error", "-m", "maypole", "run", *options, "app.py"]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
        )
        assert not check or (done.returncode, done.stderr) == (0, ""), done.stderr
        return done

    return under_maypole


LOOP_NAME = "lambda: print(type(asyncio.get_running_loop()).__module__.partition('.')[0])"


@pytest.mark.parametrize(
    "how",
    [
        "asyncio.run(main())",
        "asyncio.run(main()); asyncio.run(main()); asyncio.run(main())",
        "with asyncio.Runner() as runner: runner.run(main())",
        "loop = asyncio.new_event_loop(); loop.run_until_complete(main()); loop.close()",
        "loop = asyncio.events.new_event_loop(); loop.run_until_complete(main()); loop.close()",
    ],
)
@pytest.mark.parametrize("clock", ["monotonic", "virtual"])
def test_every_way_to_a_loop_leads_to_maypole(run: Run, how: str, clock: str) -> None:
    source = f"import asyncio\nshow = {LOOP_NAME}\nasync def main(): show()\n{how}\n"
    lines = run(source, "--clock", clock).stdout.split()
    assert lines
    assert set(lines) == {"maypole"}


def test_a_factory_that_the_program_names_is_its_own(run: Run) -> None:
    source = f"""
        import asyncio
        show = {LOOP_NAME}
        async def main(): show()
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner: runner.run(main())
    """
    assert run(source).stdout == "asyncio\n"


def test_a_test_case_of_the_standard_library_runs_on_maypole(run: Run) -> None:
    source = f"""
        import asyncio, unittest
        show = {LOOP_NAME}
        class Case(unittest.IsolatedAsyncioTestCase):
            async def test(self): show()
        unittest.TextTestRunner(stream=open("/dev/null", "w")).run(Case("test"))
    """
    done = run(source, check=False)  # its own open() warns at exit
    assert done.stdout == "maypole\n"


def test_a_program_without_asyncio_runs_and_nothing_is_said(run: Run) -> None:
    done = run("print('plain')")
    assert (done.stdout, done.stderr) == ("plain\n", "")


def test_an_hour_on_the_virtual_clock_takes_no_time_and_shows_on_every_clock(run: Run) -> None:
    source = """
        import asyncio, time
        before = [time.time(), time.monotonic(), time.perf_counter(), time.time_ns()]
        for _ in range(3):
            asyncio.run(asyncio.sleep(1200))
        after = [time.time(), time.monotonic(), time.perf_counter(), time.time_ns()]
        print([b - a for a, b in zip(before, after)], time.process_time() < 60)
    """
    expected = "[3600.0, 3600.0, 3600.0, 3600000000000] True\n"
    assert run(source, "--clock", "virtual").stdout == expected


def test_a_module_runs_on_the_virtual_clock(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "import asyncio, time\nasyncio.run(asyncio.sleep(500))\nprint(time.monotonic())"
    )
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    command = [sys.executable, "-m", "maypole", "run", "--clock=virtual", "-m", "app"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("1500.0\n", "")


@pytest.mark.parametrize(
    ("body", "stop", "text"),
    [
        ("await asyncio.Event().wait()", "Deadlock", "nothing is left that could wake the program"),
        ("while True: await asyncio.sleep(0)", "Spin", "20,000 turns of the loop"),
        ("while time.time() < 1e12: pass", "Hang", " since the loop's last turn"),
    ],
)
def test_a_stop_names_task_and_line(run: Run, body: str, stop: str, text: str) -> None:
    source = f"import asyncio, time\n\nasync def main():\n    {body}\n\nasyncio.run(main())\n"
    done = run(source, "--clock", "virtual", check=False)
    assert done.returncode == 1
    assert re.search(rf"{stop}: .*{text}", done.stderr)
    assert "task 'Task-1'" in done.stderr
    assert "app.py:4 in main" in done.stderr


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["run"], "maypole run: error: FILE or -m MODULE is needed"),
        (["run", "-m"], "maypole run: error: Argument expected for the -m option"),
        (["run", "--clock", "sundial", "app.py"], "argument --clock: invalid choice: 'sundial'"),
        (["run", "--clock"], "argument --clock: expected one argument"),
        (["run", "--fast", "app.py"], "unrecognized arguments: --fast"),
        (["dance"], "invalid choice: 'dance'"),
        ([], "the following arguments are required: VERB"),
    ],
)
def test_a_wrong_command_line_is_refused_in_one_sentence(args: list[str], text: str) -> None:
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    command = [sys.executable, "-m", "maypole", *args]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_help_and_version_go_to_standard_output() -> None:
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    for args, text in (
        (["--help"], "run a program on maypole"),
        (["run", "-h"], "--clock"),
        (["--version"], "maypole"),
    ):
        command = [sys.executable, "-m", "maypole", *args]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
        assert text in done.stdout


def test_info_fits_one_screen_and_says_what_runs() -> None:
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    command = [sys.executable, "-m", "maypole", "info"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) <= 24
    said = dict(line.split(maxsplit=1) for line in lines)
    import maypole

    assert said["maypole"].startswith(f"{maypole.__version__}, ")
    assert sys.version.split()[0] in said["Python"]
    assert os.uname().release in said["platform"]
    assert said["loop"] == "maypole.EventLoop, back-end epoll"
    assert "asyncio" in said["asyncio.run"]


@pytest.fixture(params=[versions.install_policy, versions.replace_new_event_loop])
def made_default(request: pytest.FixtureRequest) -> Iterator[list[asyncio.AbstractEventLoop]]:
    """Each way to make a default, whatever this Python would choose; holds the loops that were made."""
    if request.param is versions.install_policy and sys.version_info >= (3, 14):
        pytest.skip("policies are deprecated from Python 3.14 on: this way is not used there")
    made: list[asyncio.AbstractEventLoop] = []

    def factory() -> asyncio.AbstractEventLoop:
        made.append(asyncio.SelectorEventLoop())
        return made[-1]

    undo = request.param(factory)
    yield made
    undo()
    count = len(made)
    asyncio.new_event_loop().close()
    assert len(made) == count, "the default was not undone"
    made.clear()


def test_a_default_loop_is_made_by_the_factory_until_it_is_undone(
    made_default: list[asyncio.AbstractEventLoop],
) -> None:
    asyncio.run(asyncio.sleep(0))
    asyncio.new_event_loop().close()
    with asyncio.Runner() as runner:
        runner.run(asyncio.sleep(0))
    assert len(made_default) == 3
