"""asyncpg on a real PostgreSQL: pool, transactions, cancelling in flight, COPY, LISTEN and NOTIFY."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest

asyncpg: Any = pytest.importorskip("asyncpg", reason="asyncpg is not installed for this Python")


@pytest.fixture
def run_with_pool(postgres_url: str, run: Any) -> Any:
    """Run a function that takes a pool of connections to a database without tables."""

    def run_with(function: Any) -> None:
        async def main() -> None:
            async with asyncpg.create_pool(postgres_url, min_size=1, max_size=8) as pool:
                await pool.execute("DROP TABLE IF EXISTS items")
                await pool.execute("CREATE TABLE items (id integer PRIMARY KEY, name text)")
                await function(pool)

        run(main())

    return run_with


def test_a_pool_serves_many_queries_at_once(run_with_pool: Any) -> None:
    async def main(pool: Any) -> None:
        values = await asyncio.gather(*(pool.fetchval("SELECT $1::int * 2", number) for number in range(300)))
        assert values == [2 * number for number in range(300)]
        rows = await pool.fetch(
            "SELECT number, repeat('x', 1000) AS text FROM generate_series(1, 5000) AS number"
        )
        assert len(rows) == 5000
        assert rows[4999]["number"] == 5000

    run_with_pool(main)


def test_transactions_commit_and_roll_back(run_with_pool: Any) -> None:
    async def main(pool: Any) -> None:
        async with pool.acquire() as connection:
            async with connection.transaction():
                await connection.execute("INSERT INTO items VALUES (1, 'kept')")
            with pytest.raises(asyncpg.UniqueViolationError):
                async with connection.transaction():
                    await connection.execute("INSERT INTO items VALUES (2, 'lost')")
                    await connection.execute("INSERT INTO items VALUES (1, 'twice')")
            assert [tuple(row) for row in await connection.fetch("SELECT * FROM items")] == [(1, "kept")]
            async with connection.transaction():
                cursor = connection.cursor("SELECT generate_series(1, 100) AS number")
                assert sum([row["number"] async for row in cursor]) == 5050

    run_with_pool(main)


def test_copy_moves_many_rows_both_ways(run_with_pool: Any) -> None:
    async def main(pool: Any) -> None:
        rows = [(number, f"name {number}") for number in range(20_000)]
        async with pool.acquire() as connection:
            await connection.copy_records_to_table("items", records=rows)
            assert await connection.fetchval("SELECT count(*) FROM items") == 20_000
            out = io.BytesIO()
            await connection.copy_from_query("SELECT * FROM items ORDER BY id", output=out, format="csv")
            assert out.getvalue().splitlines()[-1] == b"19999,name 19999"

    run_with_pool(main)


def test_a_query_cancelled_in_flight_leaves_its_connection_clean(run_with_pool: Any) -> None:
    async def main(pool: Any) -> None:
        for _ in range(10):
            sleeping = asyncio.create_task(pool.execute("SELECT pg_sleep(30)"))
            await asyncio.sleep(0.02)
            sleeping.cancel()
            await asyncio.gather(sleeping, return_exceptions=True)
            assert sleeping.cancelled()
            assert await pool.fetchval("SELECT 'right'") == "right"
        with pytest.raises(asyncio.TimeoutError):
            await pool.execute("SELECT pg_sleep(30)", timeout=0.05)
        assert await pool.fetchval("SELECT 'right'") == "right"

    run_with_pool(main)


def test_notifications_arrive(run_with_pool: Any) -> None:
    async def main(pool: Any) -> None:
        received: asyncio.Queue[str] = asyncio.Queue()

        def note(connection: Any, pid: int, channel: str, payload: str) -> None:
            received.put_nowait(payload)

        async with pool.acquire() as listener:
            await listener.add_listener("events", note)
            for number in range(20):
                await pool.execute("SELECT pg_notify('events', $1)", str(number))
            assert [await received.get() for _ in range(20)] == [str(number) for number in range(20)]
            await listener.remove_listener("events", note)

    run_with_pool(main)
