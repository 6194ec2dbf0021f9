"""The loop for ``tests/conformance/run.py`` that has maypole's helpers in asyncio's place."""

import maypole
from maypole import new_event_loop as new_event_loop

maypole.install()
