"""The names of the package: each is there, none is hidden by a module."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from types import ModuleType

import maypole.patterns
import pytest


@pytest.mark.parametrize("name", maypole.patterns.__all__)
def test_every_name_is_there_and_is_no_module(name: str) -> None:
    """A module of the same name would take the place of what it holds as soon as it is imported."""
    assert not isinstance(getattr(maypole.patterns, name), ModuleType)
    assert name in dir(maypole.patterns)


def test_no_name_is_that_of_a_module() -> None:
    modules = {module.name for module in pkgutil.iter_modules(maypole.patterns.__path__)}
    assert modules.isdisjoint(maypole.patterns.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Nonsense'"):
        maypole.patterns.Nonsense  # noqa: B018


def test_importing_the_package_imports_no_pattern() -> None:
    program = "import sys, maypole.patterns; print([name for name in sys.modules if 'patterns.' in name])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
