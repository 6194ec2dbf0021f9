"""Every example in a docstring of the package, and in the stub of its native module, runs."""

from __future__ import annotations

import ast
import doctest
import importlib
import pkgutil
from collections.abc import Iterator

import maypole
import pytest
from docs.blocks import ROOT

FLAGS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL


def examples_of_modules() -> Iterator[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    yield from finder.find(maypole)
    for module in pkgutil.walk_packages(maypole.__path__, "maypole."):
        if not module.name.endswith("__main__"):  # importing it runs it
            yield from finder.find(importlib.import_module(module.name))


def examples_of_the_stub() -> Iterator[doctest.DocTest]:
    stub = ROOT / "python" / "maypole" / "_maypole.pyi"
    parser = doctest.DocTestParser()
    for node in ast.walk(ast.parse(stub.read_text())):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and (
            text := ast.get_docstring(node)
        ):
            name = getattr(node, "name", "_maypole")
            found = parser.get_doctest(text, {}, f"_maypole.pyi:{name}", str(stub), 0)
            if found.examples:
                yield found


def all_examples() -> list[doctest.DocTest]:
    unique = {test.name: test for test in (*examples_of_modules(), *examples_of_the_stub()) if test.examples}
    return [unique[name] for name in sorted(unique)]


@pytest.mark.parametrize("test", all_examples(), ids=lambda test: test.name)
def test_example_runs(test: doctest.DocTest, capsys: pytest.CaptureFixture[str]) -> None:
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    with capsys.disabled():
        output: list[str] = []
        runner.run(test, out=output.append)
    assert not runner.failures, "".join(output)


def test_the_face_of_the_package_has_examples() -> None:
    names = {test.name for test in all_examples()}
    assert {"maypole", "maypole.loop.running.run", "maypole.loop.running.new_event_loop"} <= names
