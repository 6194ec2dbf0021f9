"""How long the torture lasts, and from which seed it begins.

``MAYPOLE_TORTURE_SEED`` is the seed, 1 unless it is set; ``MAYPOLE_TORTURE_ROUNDS`` multiplies the length.
A failure prints its seed.
"""

from __future__ import annotations

import os

SEED = int(os.environ.get("MAYPOLE_TORTURE_SEED", "1"))
ROUNDS = int(os.environ.get("MAYPOLE_TORTURE_ROUNDS", "1"))
