"""Channels: order, bounds, where an item goes when a task is cancelled, how each side learns of the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maypole.patterns.channels import Receiver, Sender, channel
from maypole.patterns.deadline import Deadline
from maypole.patterns.errors import ChannelBroken, ChannelClosed, ChannelFull, DeadlineExceeded, QueueFull
from maypole.patterns.events import PatternEvent
from maypole.testing import run_virtual

Run = Callable[..., Any]


async def turns(n: int = 3) -> None:
    for _ in range(n):
        await asyncio.sleep(0)


def test_items_arrive_in_the_order_they_were_sent(run_real: Run) -> None:
    async def main() -> list[int]:
        send, recv = channel[int](3)

        async def produce() -> None:
            async with send:
                for number in range(100):
                    await send(number)

        async with asyncio.TaskGroup() as group, recv:
            group.create_task(produce())
            return [number async for number in recv]

    assert run_real(main()) == list(range(100))


def test_a_full_channel_holds_the_sender_back(run_real: Run) -> None:
    async def main() -> None:
        send, recv = channel[int](2)
        sent = []

        async def produce() -> None:
            for number in range(5):
                await send(number)
                sent.append(number)

        producer = asyncio.create_task(produce())
        await turns()
        assert sent == [0, 1]
        assert send.stats().waiting_senders == 1
        assert await recv() == 0
        await turns()
        assert sent == [0, 1, 2]
        assert [await recv() for _ in range(4)] == [1, 2, 3, 4]
        await producer
        assert recv.stats().depth_max == 2

    run_real(main())


def test_a_channel_without_room_passes_an_item_only_to_one_who_waits(run_real: Run) -> None:
    async def main() -> None:
        send, recv = channel[str](0)
        assert not send.try_send("nobody waits")
        sending = asyncio.create_task(send.send("hello"))
        await turns()
        assert not sending.done()
        assert await recv() == "hello"
        await sending
        receiving = asyncio.create_task(recv.recv())
        await turns()
        assert send.try_send("again")
        assert await receiving == "again"

    run_real(main())


def test_receivers_are_served_in_the_order_they_came(run_real: Run) -> None:
    async def main() -> list[tuple[int, int]]:
        send, recv = channel[int](10)
        got = []

        async def take(number: int) -> None:
            got.append((number, await recv()))

        async with asyncio.TaskGroup() as group:
            for number in range(5):
                group.create_task(take(number))
            await turns()
            for item in range(5):
                await send(item)
        return got

    assert run_real(main()) == [(n, n) for n in range(5)]


def test_senders_are_served_in_the_order_they_came(run_real: Run) -> None:
    async def main() -> list[int]:
        send, recv = channel[int](1)
        async with asyncio.TaskGroup() as group:
            for number in range(6):
                group.create_task(send.send(number))
            await turns()
            # Two places come free at once; the newcomer must not slip in before those who wait.
            first = [await recv()]
            group.create_task(send.send(99))
            return first + [await recv() for _ in range(6)]

    assert run_real(main()) == [0, 1, 2, 3, 4, 5, 99]


def test_a_newcomer_is_called_when_there_is_more_room_than_promised(run_real: Run) -> None:
    async def main() -> None:
        send, recv = channel[int](2)
        await send(1)
        await send(2)
        waiting = asyncio.create_task(send.send(3))
        await turns()
        assert recv.try_recv() == 1
        assert recv.try_recv() == 2
        # The one that waits has been promised one of the two places. The other one is free.
        newcomer = asyncio.create_task(send.send(4))
        await turns()
        assert waiting.done()
        assert newcomer.done()
        assert [await recv(), await recv()] == [3, 4]

    run_real(main())


def test_a_dead_consumer_frees_its_producers(run_real: Run) -> None:
    async def main() -> None:
        send, recv = channel[int](1)

        async def consume() -> None:
            async with recv:
                raise OSError("the consumer died")

        await send(1)
        producers = [asyncio.create_task(send.send(number)) for number in range(3)]
        await turns()
        with pytest.raises(OSError, match="the consumer died"):
            await consume()
        outcomes = await asyncio.gather(*producers, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [ChannelBroken] * 3
        with pytest.raises(ChannelBroken, match="every receiver is closed"):
            await send(4)
        assert send.stats().dropped == 1

    run_real(main())


def test_a_receiver_that_is_thrown_away_frees_its_producers(run_real: Run) -> None:
    async def main() -> None:
        send, recv = channel[int](1, name="lost")
        await send(1)
        producer = asyncio.create_task(send.send(2))
        await turns()
        with pytest.warns(ResourceWarning, match="receiver of channel 'lost' went, unclosed"):
            del recv
        with pytest.raises(ChannelBroken):
            await producer
        send.close()

    run_real(main())


def test_a_sender_that_is_thrown_away_ends_the_channel(run_real: Run) -> None:
    async def main() -> None:
        send, recv = channel[int](1, name="lost")
        receiving = asyncio.create_task(recv.recv())
        await turns()
        with pytest.warns(ResourceWarning, match="sender of channel 'lost' went, unclosed"):
            del send
        with pytest.raises(ChannelClosed, match="every sender is closed"):
            await receiving

    run_real(main())


def test_the_channel_ends_when_the_last_clone_is_closed(run_real: Run) -> None:
    async def main() -> list[int]:
        send, recv = channel[int](10)
        other = send.clone()
        await send(1)
        send.close()
        await other(2)
        with pytest.raises(ChannelClosed, match="this sender is closed"):
            await send(3)
        other.close()
        other.close()
        got = [item async for item in recv]
        with pytest.raises(ChannelClosed, match="nothing is left"):
            await recv()
        with pytest.raises(ChannelClosed, match="this sender is closed"):
            other.clone()
        return got

    assert run_real(main()) == [1, 2]


def test_cloned_receivers_share_the_items(run_real: Run) -> None:
    async def main() -> list[int]:
        send, recv = channel[int](2)
        got: list[int] = []

        async def consume(mine: Receiver[int]) -> None:
            async with mine:
                async for item in mine:
                    got.append(item)
                    await asyncio.sleep(0)

        async with asyncio.TaskGroup() as group, send:
            for _ in range(3):
                group.create_task(consume(recv.clone()))
            recv.close()
            for number in range(30):
                await send(number)
        return sorted(got)

    assert run_real(main()) == list(range(30))


def test_shutdown_lets_receivers_take_what_is_left(run_real: Run) -> None:
    async def main() -> None:
        send, recv = channel[int](2)
        await send(1)
        await send(2)
        late = asyncio.create_task(send.send(3))
        await turns()
        send.shutdown()
        with pytest.raises(ChannelClosed, match="was shut down"):
            await late
        with pytest.raises(ChannelClosed, match="was shut down"):
            send.try_send(4)
        assert [item async for item in recv] == [1, 2]

    run_real(main())


def test_an_immediate_shutdown_throws_the_rest_away(run_real: Run) -> None:
    async def main() -> None:
        dropped: list[int] = []
        send, recv = channel[int](2, on_drop=dropped.append)
        await send(1)
        await send(2)
        recv.shutdown(immediate=True)
        assert dropped == [1, 2]
        with pytest.raises(ChannelClosed, match="was shut down"):
            await recv()

    run_real(main())


def test_shutdown_wakes_those_who_wait_for_items(run_real: Run) -> None:
    async def main() -> None:
        send, recv = channel[int](2)
        receiving = [asyncio.create_task(recv.recv()) for _ in range(3)]
        await turns()
        send.shutdown()
        outcomes = await asyncio.gather(*receiving, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [ChannelClosed] * 3

    run_real(main())


def test_closing_an_end_wakes_its_own_tasks_too(run_real: Run) -> None:
    async def main() -> None:
        send, recv = channel[int](1)
        receiving = asyncio.create_task(recv.recv())
        await turns()
        recv.close()
        with pytest.raises(ChannelClosed, match="closed while it waited"):
            await receiving
        send, recv = channel[int](0)
        sending = asyncio.create_task(send.send(1))
        await turns()
        send.close()
        with pytest.raises(ChannelClosed, match="closed while it waited"):
            await sending

    run_real(main())


@pytest.mark.parametrize(
    ("overflow", "left", "dropped"),
    [("drop_new", [0, 1, 2], [3, 4]), ("drop_old", [2, 3, 4], [0, 1]), ("latest", [4], [0, 1, 2, 3])],
)
def test_overflow_policies_drop_what_they_say(
    run_real: Run, overflow: Any, left: list[int], dropped: list[int]
) -> None:
    async def main() -> tuple[list[int], list[int], int]:
        gone: list[int] = []
        send, recv = channel[int](3, overflow=overflow, on_drop=gone.append)
        for number in range(5):
            await send(number)
        send.close()
        return [item async for item in recv], gone, recv.stats().dropped

    got, gone, counted = run_real(main())
    # "latest" fills up to three, drops them for the fourth, and then has room again.
    if overflow == "latest":
        left, dropped = [3, 4], [0, 1, 2]
    assert (got, gone, counted) == (left, dropped, len(dropped))


def test_overflow_error_raises_and_try_send_says_no(run_real: Run) -> None:
    async def main() -> None:
        send, recv = channel[int](1, overflow="error", name="narrow")
        await send(1)
        with pytest.raises(ChannelFull, match=r"channel 'narrow' is full \(1 items\)") as caught:
            await send(2)
        assert caught.value.name == "narrow"
        assert not send.try_send(2)
        assert await recv() == 1

    run_real(main())


def test_try_send_never_overtakes_one_that_waits(run_real: Run) -> None:
    async def main() -> list[int]:
        send, recv = channel[int](1)
        await send(1)
        waiting = asyncio.create_task(send.send(2))
        await turns()
        first = recv.try_recv()
        assert not send.try_send(3)
        await waiting
        assert first == 1
        return [await recv()]

    assert run_real(main()) == [2]


def test_a_cancelled_receiver_loses_no_item(run_real: Run) -> None:
    async def main() -> None:
        send, recv = channel[int](4)
        receiving = asyncio.create_task(recv.recv())
        await turns()
        await send(1)  # handed over, but the task has not run yet
        await send(2)
        receiving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await receiving
        assert [await recv(), await recv()] == [1, 2]
        assert recv.stats().received == 2

    run_real(main())


def test_the_item_of_a_cancelled_receiver_goes_to_the_next_in_line(run_real: Run) -> None:
    async def main() -> None:
        send, recv = channel[int](4)
        first = asyncio.create_task(recv.recv())
        second = asyncio.create_task(recv.recv())
        await turns()
        await send(1)
        first.cancel()
        assert await second == 1
        await asyncio.gather(first, return_exceptions=True)

    run_real(main())


def test_a_cancelled_send_has_sent_nothing(run_real: Run) -> None:
    async def main() -> None:
        send, recv = channel[int](1)
        await send(1)
        second = asyncio.create_task(send.send(2))
        third = asyncio.create_task(send.send(3))
        await turns()
        assert await recv() == 1  # the second one is promised the place
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        await third
        assert await recv() == 3
        assert recv.stats().sent == 2

    run_real(main())


def test_a_receiver_cancelled_on_the_last_step_leaves_the_sender_waiting(run_real: Run) -> None:
    async def main() -> None:
        send, recv = channel[int](0)
        sending = asyncio.create_task(send.send(1))
        await turns()
        receiving = asyncio.create_task(recv.recv())
        await asyncio.sleep(0)  # it stands in line, and has called the sender
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
        assert await recv() == 1
        await sending

    run_real(main())


@settings(max_examples=60, deadline=None)
@given(
    maxsize=st.integers(0, 3),
    senders=st.integers(1, 3),
    receivers=st.integers(1, 3),
    steps=st.lists(
        st.tuples(st.sampled_from(["cancel sender", "cancel receiver", "turn", "many"]), st.integers(0, 5)),
        max_size=40,
    ),
)
@pytest.mark.parametrize("loop", ["asyncio", "maypole"])
def test_no_item_is_lost_or_doubled_whoever_is_cancelled(
    loop: Any, maxsize: int, senders: int, receivers: int, steps: list[tuple[str, int]]
) -> None:
    """Cancelled tasks try again; every item must arrive once, and each sender's items in order."""

    async def main() -> None:
        send, recv = channel[tuple[int, int]](maxsize)
        got: list[tuple[int, int]] = []
        take_many = over = False

        async def produce(me: int) -> None:
            for number in range(8):
                while True:
                    try:
                        await send((me, number))
                        break
                    except asyncio.CancelledError:
                        if over:
                            raise

        async def consume() -> None:
            while True:
                try:
                    if take_many:
                        got.extend(await recv.recv_many(3, max_wait=0.5))
                    else:
                        got.append(await recv())
                except asyncio.CancelledError:
                    if over:
                        raise
                except ChannelClosed:
                    return

        sending = [asyncio.create_task(produce(me)) for me in range(senders)]
        receiving = [asyncio.create_task(consume()) for _ in range(receivers)]
        await turns(1)  # a task that was cancelled before it began cannot try again
        try:
            for what, number in steps:
                if what == "cancel sender":
                    sending[number % senders].cancel()
                elif what == "cancel receiver":
                    receiving[number % receivers].cancel()
                elif what == "many":
                    take_many = not take_many
                else:
                    await turns(number)
                assert send.stats().depth <= maxsize + receivers * 3
            await asyncio.gather(*sending)
            send.close()
            await asyncio.gather(*receiving)
            assert sorted(got) == [(me, number) for me in range(senders) for number in range(8)]
            stats = recv.stats()
            assert (stats.sent, stats.received, stats.depth) == (8 * senders, 8 * senders, 0)
            assert (stats.waiting_senders, stats.waiting_receivers) == (0, 0)
        finally:
            over = True

    run_virtual(main(), loop=loop)


def test_recv_many_takes_what_is_there(run_real: Run) -> None:
    async def main() -> None:
        send, recv = channel[int](10)
        for number in range(7):
            await send(number)
        assert await recv.recv_many(5) == [0, 1, 2, 3, 4]
        assert await recv.recv_many(5) == [5, 6]
        with pytest.raises(TimeoutError):
            await recv.recv_many(5, timeout=0)
        send.close()
        with pytest.raises(ChannelClosed):
            await recv.recv_many(5)
        with pytest.raises(ValueError, match="n >= 1"):
            await recv.recv_many(0)

    run_real(main())


def test_recv_many_waits_for_more_from_the_first_item_on(run: Run) -> None:
    async def main() -> tuple[list[int], float]:
        send, recv = channel[int](10)

        async def produce() -> None:
            for number in range(10):
                await asyncio.sleep(1)
                await send(number)

        producer = asyncio.create_task(produce())
        start = asyncio.get_running_loop().time()
        batch = await recv.recv_many(100, max_wait=3.5)
        took = asyncio.get_running_loop().time() - start
        producer.cancel()
        await asyncio.gather(producer, return_exceptions=True)
        return batch, took

    assert run(main()) == ([0, 1, 2, 3], 4.5)


def test_a_batch_of_a_cancelled_receiver_goes_back_in_order(run: Run) -> None:
    async def main() -> list[int]:
        send, recv = channel[int](10)
        for number in range(3):
            await send(number)
        batching = asyncio.create_task(recv.recv_many(5, max_wait=60))
        await asyncio.sleep(1)
        await send(3)
        await asyncio.sleep(1)
        batching.cancel()
        await asyncio.gather(batching, return_exceptions=True)
        send.close()
        return [item async for item in recv]

    assert run(main()) == [0, 1, 2, 3]


def test_a_timeout_ends_a_wait_and_counts_it(run: Run) -> None:
    async def main() -> None:
        send, recv = channel[int](1)
        loop = asyncio.get_running_loop()
        with pytest.raises(TimeoutError):
            await recv.recv(timeout=2.5)
        assert loop.time() == 1002.5
        await send(1)
        with pytest.raises(TimeoutError):
            await send.send(2, timeout=4)
        stats = send.stats()
        assert (stats.receive_wait_s, stats.send_wait_s) == (2.5, 4)
        assert (stats.waiting_senders, stats.waiting_receivers, stats.sent) == (0, 0, 1)

    run(main())


def test_a_deadline_ends_waits_in_tasks_started_under_it(run: Run) -> None:
    async def main() -> None:
        send, recv = channel[int](1)
        async with Deadline(3):
            child = asyncio.create_task(recv.recv(timeout=60))
        with pytest.raises(TimeoutError):
            await child
        assert asyncio.get_running_loop().time() == 1003
        with pytest.raises(DeadlineExceeded):
            async with Deadline(2):
                await recv()
        send.close()

    run(main())


def test_the_lines_are_bounded(run_real: Run) -> None:
    async def main() -> None:
        send, recv = channel[int](0, max_waiting=2)
        receiving = [asyncio.create_task(recv.recv()) for _ in range(2)]
        await turns()
        with pytest.raises(QueueFull, match="2 are waiting already"):
            await recv()
        await send(1)
        await send(2)
        assert await asyncio.gather(*receiving) == [1, 2]

    run_real(main())


def test_a_channel_serves_one_run_after_another(run_real: Run) -> None:
    send, recv = channel[int](1)

    async def main() -> int:
        receiving = asyncio.create_task(recv.recv())
        await turns()
        await send(7)
        return await receiving

    assert run_real(main()) == 7

    async def again() -> int:
        receiving = asyncio.create_task(recv.recv())
        await turns()
        await send(8)
        return await receiving

    assert asyncio.run(again()) == 8


def test_tasks_of_two_loops_at_a_time_are_refused() -> None:
    send, recv = channel[int](1)
    first = asyncio.new_event_loop()
    task = first.create_task(recv.recv())
    first.run_until_complete(asyncio.sleep(0))

    async def other() -> None:
        with pytest.raises(RuntimeError, match="another event loop"):
            await recv()

    asyncio.run(other())
    send.close()
    with pytest.raises(ChannelClosed):
        first.run_until_complete(task)
    first.close()


def test_listeners_hear_of_drops_and_ends_and_cannot_break_a_send(
    run_real: Run, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[PatternEvent] = []

    def listen(event: PatternEvent) -> None:
        heard.append(event)
        raise ValueError("a bad listener")

    async def main() -> None:
        send, recv = channel[int](1, overflow="drop_old", name="news", on_event=listen)
        await send(1)
        await send(2)
        send.close()
        recv.close()

    with caplog.at_level(logging.CRITICAL, logger="maypole.patterns"):
        run_real(main())
    assert [(event.kind, event.name, event.what) for event in heard] == [
        ("channel", "news", "drop"),
        ("channel", "news", "close"),
        ("channel", "news", "drop"),
        ("channel", "news", "close"),
    ]
    assert heard[0].detail == {"policy": "drop_old", "depth": 1}


def test_a_channel_shows_and_describes_itself() -> None:
    send, recv = channel[int](4, name="jobs")
    assert send.try_send(1)
    assert repr(send) == "<Sender of channel 'jobs': 1 of 4, 0 senders and 0 receivers wait>"
    described = recv.describe()
    assert (described["kind"], described["name"], described["depth"]) == ("channel", "jobs", 1)
    with pytest.raises(AttributeError):
        recv.stats().depth = 0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"maxsize": -1}, "maxsize must be 0 or more"),
        ({"overflow": "explode"}, "overflow must be one of block, drop_new, drop_old, latest, error"),
        ({"maxsize": 0, "overflow": "latest"}, "needs room for one item"),
        ({"max_waiting": -1}, "max_waiting must be 0 or more"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        channel[int](**options)


def test_the_ends_are_a_pair_with_names() -> None:
    ends = channel[int]()
    assert isinstance(ends.send, Sender)
    assert (ends[0], ends[1]) == (ends.send, ends.recv)
