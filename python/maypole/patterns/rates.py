"""Rates as people write them: ``"100/s"``, ``"5000/min"``, ``"10/5s"``."""

from __future__ import annotations

import re

_UNITS = {
    "ms": 0.001,
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "m": 60.0,
    "min": 60.0,
    "minute": 60.0,
    "h": 3600.0,
    "hour": 3600.0,
    "d": 86400.0,
    "day": 86400.0,
}
_NUMBER = r"(\d+(?:_\d+)*(?:\.\d+)?(?:e[+-]?\d+)?)"
_RATE = re.compile(rf"\s*{_NUMBER}\s*/\s*{_NUMBER}?\s*({'|'.join(_UNITS)})\s*")


def count_and_period(rate: float | str, per: float) -> tuple[float, float]:
    """Return how many, and in how many seconds.

    Args:
        rate: a number, or a text such as ``"100/s"`` that names its own period.
        per: the period of a number, in seconds.

    Raises:
        ValueError: a text that is no rate, or a text together with a period; a period that is not above 0.

    >>> count_and_period("5_000/min", 1.0)
    (5000.0, 60.0)
    >>> count_and_period("10/5s", 1.0)
    (10.0, 5.0)
    >>> count_and_period(3, 0.5)
    (3.0, 0.5)
    """
    if isinstance(rate, str):
        found = _RATE.fullmatch(rate)
        if found is None:
            raise ValueError(f"a rate is written as '100/s', '5000/min' or '10/5s', got {rate!r}")
        if per != 1.0:
            raise ValueError(f"the rate {rate!r} names its own period: leave out per={per!r}")
        count, periods, unit = found.groups()
        return float(count), float(periods or 1) * _UNITS[unit]
    if not per > 0:
        raise ValueError(f"per must be above 0 seconds, got {per!r}")
    return float(rate), float(per)
