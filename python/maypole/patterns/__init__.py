"""Patterns of asyncio programs in production, on any asyncio loop.

Nothing here knows which loop it runs on: time is ``loop.time()``, waiting is a future.
"""
