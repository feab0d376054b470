import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from omnisdk.conversation import Text
from omnisdk.errors import MediaError
from omnisdk.media import Speech
from omnisdk.protocol.limits import WIRE_SAMPLE_RATE_HZ
from omnisdk.session import AsyncSession
from tests.support.fake_runtime import HEARD, REPLY, FakeRuntime, Script

pytestmark = pytest.mark.anyio
SPEECH = Speech((np.sin(np.arange(12000) / 9) * 9000).astype(np.int16), sample_rate_hz=16000)


@asynccontextmanager
async def live(script: Script | None = None) -> AsyncIterator[tuple[AsyncSession, FakeRuntime]]:
    async with FakeRuntime(script or Script()) as fake, AsyncSession(fake.url) as session:
        yield session, fake


async def test_a_spoken_turn() -> None:
    async with live() as (session, _fake):
        item = await session.send(SPEECH)
        response = await session.respond()
        assert response.transcript == HEARD
        assert response.text == REPLY
        assert response.image is not None
        assert response.image.size == (80, 80)
        assert [each.role for each in session.conversation.items] == ["user", "assistant"]
        said = session.conversation.items[0].parts[0]
        assert isinstance(said, Speech)
        assert said.transcript == HEARD
        assert said.duration_s == pytest.approx(SPEECH.duration_s, abs=0.001)
        assert item.id == session.conversation.items[0].id
        assert session.conversation.items[1].parts == (Text(REPLY), response.image)
        assert session.conversation.items[1].status == "completed"


async def test_the_audio_arrives_whole() -> None:
    async with live() as (session, fake):
        await session.send(SPEECH)
        sent = b"".join(base64.b64decode(event["audio"]) for event in fake.received_of("input_audio_buffer.append"))
        assert sent == SPEECH.resampled(WIRE_SAMPLE_RATE_HZ).pcm.tobytes()


@pytest.mark.parametrize("chunk", [160, 1234])
async def test_streaming_chunks_at_another_rate(chunk: int) -> None:
    async with live() as (session, fake):
        async with session.speak(sample_rate_hz=16000) as mic:
            for first in range(0, len(SPEECH.pcm), chunk):
                await mic.send(SPEECH.pcm[first : first + chunk].tobytes())
        sent = b"".join(base64.b64decode(event["audio"]) for event in fake.received_of("input_audio_buffer.append"))
        assert sent == SPEECH.resampled(WIRE_SAMPLE_RATE_HZ).pcm.tobytes()
        assert len(fake.received_of("input_audio_buffer.commit")) == 1


async def test_saying_nothing() -> None:
    async with live() as (session, fake):
        with pytest.raises(MediaError, match=r"only 0\.000 s were spoken"):
            async with session.speak():
                pass
        assert not fake.received_of("input_audio_buffer.commit")
        assert (await session.ask("still alive")).text == REPLY


async def test_too_long_for_the_server() -> None:
    async with live(Script(max_speech_s=0.5)) as (session, fake):
        with pytest.raises(MediaError, match=r"0\.8 s of speech; this server takes 0\.5 s"):
            await session.send(SPEECH)
        assert (await session.ask("still alive")).text == REPLY
        assert not fake.received_of("input_audio_buffer.commit")


async def test_an_exception_takes_it_back() -> None:
    async with live() as (session, fake):
        with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the block is what is tested
            async with session.speak() as mic:
                await mic.send(SPEECH)
                raise ZeroDivisionError
        assert (await session.ask("still alive")).text == REPLY
        assert fake.received_of("input_audio_buffer.clear")
        assert not fake.received_of("input_audio_buffer.commit")


async def test_chunks_that_are_no_pcm() -> None:
    async with live() as (session, _fake):
        with pytest.raises(MediaError, match="3 bytes is no 16-bit PCM"):
            async with session.speak() as mic:
                await mic.send(b"abc")
        with pytest.raises(MediaError, match="float64 and shape"):
            async with session.speak() as mic:
                await mic.send(np.zeros(3))  # type: ignore[arg-type]


async def test_speaking_cancels_the_answer_being_made() -> None:
    async with live(Script(steps=100, step_s=0.02)) as (session, _fake):
        await session.send("draw")
        response = session.respond()
        await anext(aiter(response))
        await session.send(SPEECH)
        again = session.respond()  # must not reach the server before the first has ended
        assert (await response).status == "cancelled"
        assert (await again).transcript == HEARD
