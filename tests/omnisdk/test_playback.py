import numpy as np
import pytest

from omnisdk.errors import MediaError
from omnisdk.playback import Cut, Playback, check_speaker
from omnisdk.testing import FakeSpeaker

SECOND = np.ones(24_000, np.int16)

pytestmark = pytest.mark.anyio


def test_each_answer_is_cut_where_it_was_heard() -> None:
    speaker = FakeSpeaker(hears_s=1.5)
    playback = Playback(speaker)
    for item_id in ("a", "b", "b", "c"):
        playback.give(item_id, SECOND)
    assert playback.stop() == [Cut("b", 500), Cut("c", 0)]
    assert speaker.given_s == 1.5
    assert playback.stop() == []


def test_the_last_may_go_on() -> None:
    playback = Playback(FakeSpeaker())
    playback.give("a", SECOND)
    assert playback.stop() == [Cut("a", 1000)]


async def test_what_was_heard_is_not_cut_and_what_follows_counts_from_there() -> None:
    speaker = FakeSpeaker()
    playback = Playback(speaker)
    playback.give("a", SECOND)
    await playback.finished()
    speaker.hears_s = 1.25
    playback.give("b", SECOND)
    assert playback.stop() == [Cut("b", 250)]
    speaker.hears_s = 1.75
    playback.give("c", SECOND)
    assert playback.stop() == [Cut("c", 500)]
    playback.close()
    assert speaker.closed


def test_what_is_no_speaker_is_told_what_it_lacks() -> None:
    check_speaker(FakeSpeaker(hears_s=1.5))

    class Mute:
        def play(self, pcm: object) -> None: ...

    with pytest.raises(MediaError, match=r"it has no heard_s, stop, finished, close; give speaker\(\)"):
        check_speaker(Mute())  # type: ignore[arg-type]
