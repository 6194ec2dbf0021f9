"""Run tests while the garbage collector runs at every allocation: ``python tests/torture/collecting.py``.

Arguments go to pytest; without any it runs the parts that are fast enough for that.
"""

from __future__ import annotations

import gc
import sys

import pytest

CHOSEN = (
    "tests/parity/test_call_soon.py",
    "tests/parity/test_timers.py",
    "tests/parity/test_tasks.py",
    "tests/parity/test_handles.py",
    "tests/parity/test_readers.py",
    "tests/parity/test_tcp.py",
    "tests/parity/test_tls.py",
    "tests/parity/test_udp.py",
    "tests/transports",
    "tests/natives/test_queues.py",
    "tests/natives/test_locks.py",
    "tests/natives/test_gather.py",
    "tests/natives/test_as_completed.py",
)


class Collecting:
    """A plugin that sets the threshold when everything is loaded."""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self) -> None:
        """Collect at every allocation from now on; what is loaded by now is out of the collector's sight."""
        gc.set_threshold(1)


if __name__ == "__main__":
    # A test may take a hundred times as long.
    arguments = ["-q", "-o", "timeout=600", *(sys.argv[1:] or CHOSEN)]
    sys.exit(pytest.main(arguments, plugins=[Collecting()]))
