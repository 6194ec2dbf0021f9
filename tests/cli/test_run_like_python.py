"""``maypole run`` beside ``python``: the same arguments, the same exit code, the same words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

PYTHON = [sys.executable]
MAYPOLE = [sys.executable, "-m", "maypole", "run"]
TIMEOUT_S = 60


def execute(command: list[str], cwd: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run one command in a folder, with the project's package on the path and nothing else from outside."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    return subprocess.run(
        command, cwd=cwd, env=environment, input=stdin, capture_output=True, text=True, timeout=TIMEOUT_S
    )


Files = Callable[..., Path]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Write files below a folder and return the folder."""

    def write(**sources: str) -> Path:
        for name, source in sources.items():
            path = tmp_path / name.replace("__dot__", ".").replace("__in__", "/")
            path.parent.mkdir(exist_ok=True, parents=True)
            path.write_text(textwrap.dedent(source))
        return tmp_path

    return write


def both(folder: Path, *args: str, stdin: str = "") -> tuple[subprocess.CompletedProcess[str], ...]:
    """The same arguments given to python and to maypole run."""
    return execute([*PYTHON, *args], folder, stdin), execute([*MAYPOLE, *args], folder, stdin)


def last_line(text: str) -> str:
    # compile() says "source code string" where the interpreter, which reads the file itself, says "source
    # code".
    text = text.replace("source code string cannot", "source code cannot")
    return text.strip().rpartition("\n")[2]


def assert_same(folder: Path, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Exit code, standard output and last line of standard error must agree; returns what maypole did."""
    python, maypole = both(folder, *args, stdin=stdin)
    assert maypole.returncode == python.returncode, maypole.stderr
    assert maypole.stdout == python.stdout
    assert last_line(maypole.stderr) == last_line(python.stderr)
    return maypole


BAD_INPUT = {
    "missing file": ["missing.py"],
    "missing file in a folder": ["./nowhere/missing.py", "arg"],
    "missing absolute file": ["/nowhere/missing.py"],
    "folder without __main__": ["empty"],
    "folder without __main__, with slash": ["empty/"],
    "syntax error": ["syntax.py"],
    "indentation error": ["indent.py"],
    "null byte": ["null.py"],
    "not a script": ["zip.zip"],
    "no such module": ["-m", "no_such_module_anywhere"],
    "no such submodule": ["-m", "empty.nothing"],
    "no such module in a package": ["-m", "json.nothing"],
    "package without __main__": ["-m", "json"],
    "module with a syntax error": ["-m", "syntax"],
    "module that raises": ["-m", "raises"],
}


@pytest.mark.parametrize("args", BAD_INPUT.values(), ids=BAD_INPUT.keys())
def test_bad_input_is_reported_as_python_reports_it(files: Files, args: list[str]) -> None:
    folder = files(
        empty__in__data__dot__txt="",
        syntax__dot__py="def f(:\n    pass\n",
        indent__dot__py="if True:\npass\n",
        raises__dot__py="raise LookupError('gone')\n",
        null__dot__py="print(1)\0\n",
    )
    with zipfile.ZipFile(folder / "zip.zip", "w") as archive:
        archive.writestr("data.txt", "")
    maypole = assert_same(folder, *args)
    assert maypole.returncode in (1, 2)
    assert "maypole" not in maypole.stderr.replace(os.fspath(folder), "")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read(files: Files) -> None:
    folder = files(secret__dot__py="print('read')\n")
    (folder / "secret.py").chmod(0)
    assert assert_same(folder, "secret.py").returncode == 2


ENDINGS = {
    "runs through": "print('here')",
    "exit()": "import sys; sys.exit()",
    "exit(None)": "import sys; sys.exit(None)",
    "exit(0)": "import sys; sys.exit(0)",
    "exit(7)": "import sys; sys.exit(7)",
    "exit(True)": "import sys; sys.exit(True)",
    "exit(-1)": "import sys; sys.exit(-1)",
    "exit(text)": "import sys; sys.exit('cannot go on')",
    "exit(object)": "import sys; sys.exit((1, 2))",
    "SystemExit": "raise SystemExit(3)",
    "exit inside a coroutine": "import asyncio, sys\nasync def main(): sys.exit(5)\nasyncio.run(main())",
    "exception": "1 / 0",
    "exception with cause": "try: 1 / 0\nexcept ZeroDivisionError as e: raise LookupError('no') from e",
    "exception group": "raise ExceptionGroup('several', [ValueError(1), TypeError(2)])",
    "exception inside a coroutine": "import asyncio\nasync def main(): {}['key']\nasyncio.run(main())",
    "base exception": "raise BaseException('base')",
    "asserts": "assert 1 == 2, 'unequal'",
    "os._exit": "import os; os._exit(9)",
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "interrupted": "raise KeyboardInterrupt",
    "interrupted inside a coroutine": (
        "import asyncio, os, signal\n"
        "async def main():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    await asyncio.sleep(30)\n"
        "asyncio.run(main())"
    ),
    "own excepthook": "import sys\nsys.excepthook = lambda *e: print('mine', e[0].__name__)\n1 / 0",
    "exit function": "import atexit\natexit.register(print, 'at exit')\n1 / 0",
    "thread goes on": (
        "import threading, time\n"
        "def late(): time.sleep(0.2); print('late', __name__)\n"
        "threading.Thread(target=late).start()\nprint('end')"
    ),
    "never awaited": "import asyncio, sys\nasyncio.sleep(1)\n",
}


@pytest.mark.parametrize("source", ENDINGS.values(), ids=ENDINGS.keys())
def test_a_program_ends_as_under_python(files: Files, source: str) -> None:
    folder = files(app__dot__py=source)
    assert_same(folder, "app.py")


@pytest.mark.parametrize("args", [["app.py"], ["-m", "app"]], ids=["file", "module"])
def test_ctrl_c_ends_the_process_by_its_signal(files: Files, args: list[str]) -> None:
    folder = files(app__dot__py="raise KeyboardInterrupt")
    maypole = assert_same(folder, *args)
    assert maypole.returncode in (-signal.SIGINT, 1, 130)


SEEN = """
    import os, sys
    print(__name__, sys.argv, repr(sys.path[0]), sys.modules["__main__"].__dict__ is globals())
    names = ["__file__", "__package__", "__cached__", "__doc__", "__spec__", "__loader__"]
    for name in names:
        value = globals().get(name, "missing")
        print(name, value if isinstance(value, (str, type(None))) else type(value).__name__)
    print(sorted(set(globals()) - {"__annotations__", "os", "sys", "names", "name", "value"}))
"""


@pytest.mark.parametrize(
    "args",
    [
        ["app.py"],
        ["app.py", "-m", "x", "--clock", "virtual", "--", "-h"],
        ["./app.py", "a b", ""],
        ["sub/inner.py"],
        ["sub/../app.py"],
        ["link.py"],
        ["-m", "app", "-m", "y"],
        ["-mapp", "one"],
        ["-m", "package"],
        ["-m", "package.inner", "--help"],
        ["package", "two"],
        ["package/"],
        ["archive.zip", "three"],
        ["-", "four"],
    ],
    ids=" ".join,
)
def test_a_program_sees_the_start_that_python_gives_it(files: Files, args: list[str]) -> None:
    folder = files(
        app__dot__py=SEEN,
        sub__in__inner__dot__py=SEEN,
        package__in____main____dot__py=SEEN,
        package__in__inner__dot__py=SEEN,
        package__in____init____dot__py="",
    )
    (folder / "link.py").symlink_to(folder / "sub" / "inner.py")
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        archive.writestr("__main__.py", textwrap.dedent(SEEN))
    maypole = assert_same(folder, *args, stdin=textwrap.dedent(SEEN))
    assert maypole.stdout.startswith("__main__ ")


def test_the_absolute_path_of_a_script_is_kept(files: Files) -> None:
    folder = files(app__dot__py=SEEN)
    assert_same(folder, os.fspath(folder / "app.py"))


def test_a_compiled_file_runs(files: Files) -> None:
    folder = files(app__dot__py="import sys; print('compiled', sys.argv, __name__)")
    execute([*PYTHON, "-c", "import py_compile; py_compile.compile('app.py', 'app.pyc')"], folder)
    (folder / "app.py").unlink()
    assert assert_same(folder, "app.pyc", "x").stdout == "compiled ['app.pyc', 'x'] __main__\n"


def test_tracebacks_are_those_of_python(files: Files) -> None:
    folder = files(
        app__dot__py="""
        import asyncio
        async def inner(): return 1 / 0
        async def main(): await inner()
        asyncio.run(main())
        """
    )
    python, maypole = both(folder, "app.py")
    assert maypole.stderr == python.stderr
    python, maypole = both(folder, "-m", "app")
    assert maypole.stderr == python.stderr


def test_a_syntax_error_has_no_traceback(files: Files) -> None:
    folder = files(app__dot__py="x = = 1\n")
    python, maypole = both(folder, "app.py")
    assert maypole.stderr == python.stderr
    assert "Traceback" not in maypole.stderr


def test_multiprocessing_finds_the_functions_of_the_program(files: Files) -> None:
    folder = files(
        app__dot__py="""
        from concurrent.futures import ProcessPoolExecutor
        import multiprocessing
        def double(x): return 2 * x
        if __name__ == "__main__":
            for method in ("fork", "spawn"):
                with ProcessPoolExecutor(1, multiprocessing.get_context(method)) as pool:
                    print(list(pool.map(double, range(3))))
        """
    )
    assert execute([*MAYPOLE, "app.py"], folder).stdout == "[0, 2, 4]\n[0, 2, 4]\n"
