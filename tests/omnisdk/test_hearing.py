from collections.abc import AsyncIterator

import numpy as np
import pytest

from omnisdk.hearing import KEPT_SAMPLES, Hearing
from omnisdk.media import Speech
from omnisdk.session import AsyncSession
from tests.support.fake_runtime import FakeRuntime

pytestmark = pytest.mark.anyio


@pytest.fixture
async def hearing() -> AsyncIterator[Hearing]:
    async with FakeRuntime() as fake, AsyncSession(fake.url) as session:
        yield Hearing(session)


async def test_turns_are_cut_by_the_clock_of_the_session(hearing: Hearing) -> None:
    for first in range(0, 24_000, 480):
        await hearing.send(np.arange(first, first + 480, dtype=np.int16))
    turn = hearing.cut(250, 500)
    assert (turn.pcm[0], len(turn.pcm), turn.sample_rate_hz) == (6_000, 6_000, 24_000)
    assert len(hearing.cut(900, 5_000).pcm) == 2_400


async def test_old_sound_is_dropped_and_the_clock_goes_on(hearing: Hearing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omnisdk.hearing.KEPT_SAMPLES", 24_000)
    assert KEPT_SAMPLES > 30 * 24_000
    for second in range(5):
        await hearing.send(np.full(24_000, second, np.int16))
    assert set(hearing.cut(4_200, 4_400).pcm) == {4}
    assert len(hearing.cut(0, 1_000).pcm) == 0


async def test_speech_of_any_rate_and_bytes(hearing: Hearing) -> None:
    for _ in range(10):
        await hearing.send(Speech.said(np.full(1600, 500, np.int16), 16_000))
    await hearing.send(np.full(2400, 700, np.int16).tobytes())
    cut = hearing.cut(0, 5_000).pcm
    assert len(cut) == pytest.approx(26_400, abs=100)
    assert cut[-1] == 700


async def test_a_session_that_begins_anew_hears_what_no_turn_was_made_of(
    hearing: Hearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    again: list[list[int]] = []
    monkeypatch.setattr(AsyncSession, "say_again", lambda _, pcm: again.append(sorted(set(pcm.tolist()))))
    for second in range(3):
        await hearing.send(np.full(24_000, second, np.int16))
    hearing.cut(100, 1_000)
    hearing.restart()  # before the server had made a turn of it
    hearing.cut(100, 1_000)
    hearing.taken()
    hearing.restart()
    assert again == [[0, 1, 2], [1, 2]]
    await hearing.send(np.full(24_000, 3, np.int16))
    assert set(hearing.cut(0, 500).pcm) == {1}  # by the clock of the new session
    assert set(hearing.cut(2_000, 2_500).pcm) == {3}
