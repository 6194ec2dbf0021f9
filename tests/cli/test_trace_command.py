"""``maypole trace``: the program runs as ever, whatever becomes of its recording."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Trace = Callable[..., subprocess.CompletedProcess[str]]
TIMEOUT_S = 50


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    """Run a program's text under ``maypole trace``; the options come first."""

    def under_trace(source: str, *options: str, args: tuple[str, ...] = (), **settings: Any) -> Any:
        (tmp_path / "app.py").write_text(textwrap.dedent(source))
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MAYPOLE"))
        }
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        command = [sys.executable, "-m", "maypole", "trace", *options, "app.py", *args]
        return subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            **settings,
        )

    return under_trace


def document(tmp_path: Path, name: str = "out.json") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tmp_path / name).read_text())
    return found


RUNS = """
    import asyncio, sys
    asyncio.run(asyncio.sleep(0.001))
    print("done", *sys.argv[1:])
"""


def test_a_page_is_written_beside_the_program_unless_another_output_is_named(
    trace: Trace, tmp_path: Path
) -> None:
    done = trace(RUNS)
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert (tmp_path / "trace.html").exists()
    assert f"wrote {tmp_path / 'trace.html'}" in done.stderr
    (tmp_path / "trace.html").unlink()
    trace(RUNS, "--perfetto", "out.pftrace")
    assert not (tmp_path / "trace.html").exists()
    assert (tmp_path / "out.pftrace").stat().st_size > 100


def test_outputs_may_be_named_behind_the_arguments_and_the_rest_is_the_programs(
    trace: Trace, tmp_path: Path
) -> None:
    done = trace(RUNS, args=("--port", "8000", "-o", "out.html", "--json=out.json"))
    assert done.stdout == "done --port 8000\n"
    assert (tmp_path / "out.html").exists()
    assert document(tmp_path)["program"]["argv"] == ["app.py", "--port", "8000"]


def test_behind_two_dashes_all_is_the_programs(trace: Trace, tmp_path: Path) -> None:
    done = trace(RUNS, "-o", "out.html", "--", args=("-o", "mine"))
    assert done.stdout == "done -o mine\n"
    assert not (tmp_path / "mine").exists()


def test_three_runs_in_a_row_are_one_document(trace: Trace, tmp_path: Path) -> None:
    source = "import asyncio\nfor _ in range(3): asyncio.run(asyncio.sleep(0.001))"
    assert trace(source, "--json", "out.json").returncode == 0
    waits = document(tmp_path)["waits"]
    assert waits["kind"].count("sleep") == 3
    assert waits["begin_ns"] == sorted(waits["begin_ns"])


@pytest.mark.parametrize(
    ("end", "exit_code", "ended", "error"),
    [
        ("pass", 0, "returned", ""),
        ("sys.exit(7)", 7, "exited", ""),
        ("sys.exit('too bad')", 1, "exited", "too bad"),
        ("1 / 0", 1, "raised", "ZeroDivisionError: division by zero"),
        ("os.kill(os.getpid(), signal.SIGINT); time.sleep(30)", -2, "raised", "KeyboardInterrupt"),
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(30)", -15, "killed", ""),
        ("os._exit(5)", 5, "exited", ""),
    ],
)
@pytest.mark.parametrize("inside", [True, False])
def test_the_end_is_the_programs_own_and_the_recording_is_saved(
    trace: Trace, tmp_path: Path, end: str, exit_code: int, ended: str, error: str, inside: bool
) -> None:
    body = f"async def main():\n    await asyncio.sleep(0.001)\n    {end if inside else 'pass'}\n"
    source = (
        f"import asyncio, os, signal, sys, time\n{body}asyncio.run(main())\n{'pass' if inside else end}\n"
    )
    done = trace(source, "--json", "out.json", preexec_fn=default_signals)
    assert done.returncode == exit_code
    assert error in done.stderr
    found = document(tmp_path)
    assert found["program"]["ended"] == ended
    assert found["complete"] == (ended in ("returned", "raised") or "sys.exit" in end)
    assert "sleep" in found["waits"]["kind"]
    if "1 / 0" in end:
        assert "cli/" not in done.stderr
        assert 'File "' + str(tmp_path / "app.py") in done.stderr


def default_signals() -> None:
    """Let the child be interrupted, wherever the tests run."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def test_sigterm_while_the_loop_is_stuck_saves_what_there_is(trace: Trace, tmp_path: Path) -> None:
    source = """
        import asyncio, os, signal, threading, time
        async def stuck():
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
            while True: pass
        asyncio.run(stuck())
    """
    done = trace(source, "--json", "out.json")
    assert done.returncode == -15
    found = document(tmp_path)
    assert (found["program"]["ended"], found["complete"]) == ("killed", False)
    assert found["tasks"]["outcome"] == ["pending"]


def test_sigterm_while_the_recording_is_written_leaves_it_whole(trace: Trace, tmp_path: Path) -> None:
    source = """
        import asyncio, os, signal
        from maypole.trace import whole_file
        original = whole_file._write_all
        def interrupted(descriptor, parts):
            os.kill(os.getpid(), signal.SIGTERM)
            for _ in range(1000): pass
            original(descriptor, parts)
        whole_file._write_all = interrupted
        asyncio.run(asyncio.sleep(0.001))
    """
    done = trace(source, "--json", "out.json")
    assert done.returncode == -15
    assert document(tmp_path)["program"]["ended"] == "returned"
    assert {path.name for path in tmp_path.iterdir()} == {"app.py", "out.json"}


def test_a_handler_of_the_program_is_left_alone(trace: Trace, tmp_path: Path) -> None:
    source = """
        import asyncio, os, signal, sys
        async def main():
            loop, told = asyncio.get_running_loop(), asyncio.Event()
            loop.add_signal_handler(signal.SIGTERM, told.set)
            os.kill(os.getpid(), signal.SIGTERM)
            await told.wait()
            return 9
        sys.exit(asyncio.run(main()))
    """
    done = trace(source, "--json", "out.json")
    assert done.returncode == 9
    assert document(tmp_path)["program"]["ended"] == "exited"


def test_children_of_fork_write_nothing(trace: Trace, tmp_path: Path) -> None:
    source = """
        import asyncio, os, sys
        async def main():
            for how in (os._exit, sys.exit):
                if os.fork() == 0:
                    how(0)
                assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
            await asyncio.sleep(0)
        asyncio.run(main())
    """
    done = trace(source, "--json", "out.json")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("wrote") == 1
    assert document(tmp_path)["program"]["ended"] == "returned"


def test_loops_in_other_threads_and_in_exit_functions_are_recorded_too(trace: Trace, tmp_path: Path) -> None:
    source = """
        import asyncio, atexit, threading, time
        async def late(): await asyncio.create_task(asyncio.sleep(0), name="late")
        async def other():
            await asyncio.sleep(0.05)
            await asyncio.create_task(asyncio.sleep(0), name="other")
        atexit.register(lambda: asyncio.run(late()))
        threading.Thread(target=lambda: asyncio.run(other())).start()
    """
    done = trace(source, "--json", "out.json")
    assert done.returncode == 0, done.stderr
    found = document(tmp_path)
    assert {"late", "other"} <= {found["strings"][name] for name in found["tasks"]["name"]}


def test_a_program_without_a_loop_is_told_so(trace: Trace, tmp_path: Path) -> None:
    done = trace("print('plain')", "--json", "out.json")
    assert (done.returncode, done.stdout) == (0, "plain\n")
    assert "no loop of maypole ran" in done.stderr
    assert document(tmp_path)["format"] == "maypole-trace"


def test_outputs_that_cannot_be_written_are_told_before_the_program_runs(
    trace: Trace, tmp_path: Path
) -> None:
    done = trace(RUNS, "-o", "no/out.html")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"maypole trace: cannot write {tmp_path}/no/out.html: No such file or directory\n"
    done = trace(RUNS, "--json", ".")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Is a directory" in done.stderr


def limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))


def test_when_the_disk_is_full_no_part_is_left_and_the_program_ends_as_ever(
    trace: Trace, tmp_path: Path
) -> None:
    (tmp_path / "out.html").write_text("before")
    source = RUNS + "    sys.exit(4)\n"
    done = trace(source, "-o", "out.html", "--json", "out.json", preexec_fn=limit_files)
    assert (done.returncode, done.stdout) == (4, "done\n")
    assert f"cannot write {tmp_path / 'out.html'}: File too large" in done.stderr
    assert (tmp_path / "out.html").read_text() == "before"
    assert document(tmp_path)["program"]["ended"] == "exited"
    assert {path.name for path in tmp_path.iterdir()} == {"app.py", "out.html", "out.json"}


def test_a_folder_that_goes_away_costs_the_recording_only(trace: Trace, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    done = trace(RUNS + "    import os; os.rmdir('gone')\n", "-o", "gone/out.html")
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert "cannot write" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_program_that_changes_its_folder_changes_no_output(trace: Trace, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    trace("import os; os.chdir('elsewhere')\n" + textwrap.dedent(RUNS), "--json", "out.json")
    assert (tmp_path / "out.json").exists()


def test_dropped_events_are_told(trace: Trace, tmp_path: Path) -> None:
    source = """
        import asyncio
        async def main():
            for _ in range(1000): await asyncio.sleep(0)
        asyncio.run(main())
    """
    done = trace(source, "--json", "out.json", "--capacity", "100")
    assert "oldest events had no room; --capacity keeps more" in done.stderr
    assert document(tmp_path)["dropped_events"] > 1_000


def test_a_module_runs_on_the_virtual_clock(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import asyncio\nasyncio.run(asyncio.sleep(3600))\n")
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    command = [
        sys.executable,
        "-m",
        "maypole",
        "trace",
        "--clock",
        "virtual",
        "-m",
        "app",
        "--json",
        "out.json",
    ]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert done.returncode == 0, done.stderr
    found = document(tmp_path)
    assert found["program"]["clock"] == "virtual"
    assert found["duration_ns"] >= 3600 * 10**9


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ([], "maypole trace: error: FILE or -m MODULE is needed"),
        (["--capacity", "0", "app.py"], "'0' is no number of events between 1 and 100,000,000"),
        (["--capacity", "many", "app.py"], "'many' is no number of events"),
        (["--attach", "x"], "'x' is not the number of a process"),
        (["--attach", "1", "app.py"], "with --attach there is no program to run"),
        (["--seconds", "5", "app.py"], "--seconds goes with --attach"),
        (["--attach", "1", "--seconds", "-1"], "'-1' is no number of seconds above 0"),
        (["-o"], "expected one argument"),
        (["--fast", "app.py"], "unrecognized arguments: --fast"),
    ],
)
def test_a_wrong_command_line_is_refused_in_one_sentence(args: list[str], text: str, tmp_path: Path) -> None:
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    command = [sys.executable, "-m", "maypole", "trace", *args]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert done.returncode == 2
    assert text in done.stderr
    assert "Traceback" not in done.stderr
