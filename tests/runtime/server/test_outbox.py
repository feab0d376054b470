import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from omnisdk.protocol import events
from omnisdk.protocol.events import ServerEvent
from runtime.server.outbox import Outbox, OutboxFullError

pytestmark = pytest.mark.anyio

CLEARED = events.InputAudioBufferCleared()


def deleted(name: str) -> events.ConversationItemDeleted:
    return events.ConversationItemDeleted(item_id=name)


def partial(name: str) -> Callable[[], Awaitable[Sequence[ServerEvent]]]:
    async def render() -> Sequence[ServerEvent]:
        return [deleted(name)]

    return render


async def names(outbox: Outbox, count: int) -> list[str]:
    sent = [event for _ in range(count) for event in await asyncio.wait_for(outbox.next(), 1)]
    return [event.item_id for event in sent if isinstance(event, events.ConversationItemDeleted)]


async def test_finals_come_in_order() -> None:
    outbox = Outbox(10)
    outbox.put(deleted("a"), deleted("b"))
    outbox.put(deleted("c"))
    assert await names(outbox, 2) == ["a", "b", "c"]


async def test_a_newer_partial_takes_the_place_of_an_unsent_one() -> None:
    outbox = Outbox(10)
    outbox.put(deleted("created"))
    for step in range(5):
        outbox.put_partial("r", partial(f"step {step}"))
    outbox.put(deleted("done"))
    assert await names(outbox, 3) == ["created", "step 4", "done"]


async def test_partials_of_two_responses_do_not_replace_each_other() -> None:
    outbox = Outbox(10)
    outbox.put_partial("r", partial("r 1"))
    outbox.put_partial("s", partial("s 1"))
    assert await names(outbox, 2) == ["r 1", "s 1"]


async def test_after_a_partial_was_sent_the_next_one_queues_anew() -> None:
    outbox = Outbox(10)
    outbox.put_partial("r", partial("1"))
    assert await names(outbox, 1) == ["1"]
    outbox.put(deleted("between"))
    outbox.put_partial("r", partial("2"))
    assert await names(outbox, 2) == ["between", "2"]


async def test_waits_until_there_is_something() -> None:
    outbox = Outbox(10)
    waiting = asyncio.create_task(outbox.next())
    await asyncio.sleep(0)
    assert not waiting.done()
    outbox.put(CLEARED)
    assert await waiting == (CLEARED,)


async def test_finals_are_never_dropped_but_bounded() -> None:
    outbox = Outbox(2)
    outbox.put(CLEARED)
    outbox.put(CLEARED)
    with pytest.raises(OutboxFullError):
        outbox.put(CLEARED)
    assert await outbox.next() == (CLEARED,)
