import asyncio

import pytest

from runtime.server.idle_timer import IdleTimer


@pytest.mark.anyio
async def test_only_the_last_beginning_counts() -> None:
    calls: list[str] = []
    timer = IdleTimer(lambda: calls.append("now"))
    timer.begin(0)
    timer.begin(60)
    await asyncio.sleep(0.02)
    assert not calls
    timer.begin(0)
    await asyncio.sleep(0.02)
    assert calls == ["now"]
    timer.begin(0)
    timer.stop()
    await asyncio.sleep(0.02)
    assert calls == ["now"]
