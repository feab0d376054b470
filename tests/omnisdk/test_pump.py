import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from omnisdk.audio_file import Pcm
from omnisdk.media import Speech
from omnisdk.pump import MAX_WAITING_CHUNKS, Pump, Sound

pytestmark = pytest.mark.anyio
CHUNK = np.ones(480, np.int16)


async def test_it_is_overheard_before_anybody_takes_it() -> None:
    heard: list[Sound] = []
    pump = Pump(Speech.from_pcm(np.ones(2400, np.int16), 24_000))
    pump.overhear = heard.append
    await asyncio.sleep(0.01)
    assert len(heard) == 1
    assert await pump.next() is heard[0]
    assert await pump.next() is await pump.next() is None
    await pump.close()


async def test_sound_waits_within_a_bound_and_errors_are_told() -> None:
    given = 0

    async def microphone() -> AsyncIterator[Pcm]:
        nonlocal given
        while given < 60:
            given += 1
            yield CHUNK
        raise OSError("unplugged")

    pump = Pump(microphone())
    await asyncio.sleep(0.01)
    assert given == MAX_WAITING_CHUNKS + 1
    for _ in range(60):
        await pump.next()
    with pytest.raises(OSError, match="unplugged"):
        await pump.next()
    await pump.close()
