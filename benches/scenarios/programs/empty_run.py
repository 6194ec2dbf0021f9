"""An empty run on the loop that the first argument names as module:factory."""

import asyncio
import importlib
import sys


async def main() -> None:
    """Nothing."""


module, _, factory = sys.argv[1].partition(":")
with asyncio.Runner(loop_factory=getattr(importlib.import_module(module), factory)) as runner:
    runner.run(main())
