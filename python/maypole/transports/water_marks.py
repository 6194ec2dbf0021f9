"""The water marks of a transport, checked as asyncio checks them."""

from __future__ import annotations

HIGH_WATER = 64 * 1024
"""The default high-water mark in bytes, as asyncio's."""


def water_marks(high: int | None, low: int | None) -> tuple[int, int]:
    """Fill in what is not given: 64 KiB, and a quarter of `high`.

    Returns:
        High and low water mark in bytes.

    Raises:
        ValueError: unless ``high >= low >= 0``.

    Example:
        >>> water_marks(None, None)
        (65536, 16384)

    Source: https://docs.python.org/3/library/asyncio-protocol.html#asyncio.WriteTransport.set_write_buffer_limits
    """
    if high is None:
        high = HIGH_WATER if low is None else 4 * low
    if low is None:
        low = high // 4
    if not high >= low >= 0:
        raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
    return high, low
