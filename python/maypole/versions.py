"""All that differs between the supported versions of Python, in one place."""

from __future__ import annotations

import asyncio
import sys
from asyncio import base_events, format_helpers
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def format_callback(callback: Callable[..., object] | None, args: tuple[object, ...] | None, debug: bool) -> str:
    """Name a callback as asyncio's messages do; from 3.13 on arguments are shown in debug mode only."""
    if sys.version_info >= (3, 13):
        return format_helpers._format_callback_source(callback, args, debug=debug)
    return format_helpers._format_callback_source(callback, args)


def format_handle(handle: asyncio.Handle) -> str:
    """Name a handle as asyncio's slow-callback log does."""
    return base_events._format_handle(handle)  # type: ignore[attr-defined,no-any-return]


def default_policy_class() -> Any:  # noqa: ANN401  (a class whose name depends on the version)
    """Return asyncio's own policy class without the warning that its public name gives from 3.14 on."""
    if sys.version_info >= (3, 14):
        return asyncio.events._BaseDefaultEventLoopPolicy
    return asyncio.DefaultEventLoopPolicy
