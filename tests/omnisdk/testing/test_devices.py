import asyncio

import numpy as np
import pytest

from omnisdk.media import Speech
from omnisdk.playback import SpeakerLike
from omnisdk.testing import FakeSpeaker

pytestmark = pytest.mark.anyio
SECOND = np.arange(24_000, dtype=np.int16)


async def test_all_is_heard_and_kept() -> None:
    speaker = FakeSpeaker()
    playing: SpeakerLike = speaker
    playing.play(SECOND)
    await playing.finished()
    playing.close()
    assert (speaker.heard_s, speaker.closed) == (1.0, True)
    assert speaker.speech == Speech.said(SECOND, 24_000)


async def test_what_was_not_heard_never_is() -> None:
    speaker = FakeSpeaker(hears_s=0.25)
    speaker.play(SECOND)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(speaker.finished(), 0.05)
    speaker.stop()
    speaker.hears_s = 2.0
    speaker.play(SECOND[:6000])
    assert (speaker.heard_s, speaker.stops) == (0.5, 1)
    assert np.array_equal(speaker.speech.pcm, np.concatenate([SECOND[:6000], SECOND[:6000]]))
