"""Text to speech over plain HTTP, as OpenAI's audio API has it, streamed as the model speaks."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from omnisdk.protocol import errors, events, limits
from omnisdk.protocol.audio import PCM
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.items import InputText, Message
from omnisdk.protocol.settings import AudioOutput, AudioSettings, OmniSettings, ResponseSettings
from runtime.engine.request import TextPart
from runtime.server.http_body import read_json
from runtime.server.http_errors import account_of, error_body, unless_gone
from runtime.server.model_card import ModelCard
from runtime.server.one_answer import OneAnswer, Said
from runtime.server.recordings import MEDIA_TYPES, wav_head, write_recording
from runtime.server.responses import new_id
from runtime.server.server_sent import MEDIA_TYPE, sent


class SpeechRequest(Struct, kw_only=True):
    """response_format: pcm is 24 kHz, 16 bits, mono; pcm and wav come while they are made, the rest when it is done.

    stream_format: the file itself, or server-sent events with pieces of it. seed: ours, repeats a recording.
    Passed over: voice and instructions, the model has one way to speak; model, there is one.
    """

    input: Annotated[str, Meta(min_length=1, max_length=limits.MAX_TEXT_LENGTH)]
    response_format: Literal["mp3", "opus", "flac", "wav", "pcm"] = "mp3"
    stream_format: Literal["audio", "sse"] = "audio"
    speed: Annotated[float, Meta(ge=limits.MIN_SPEED, le=limits.MAX_SPEED)] = 1.0
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    model: Any = None
    voice: Any = None
    instructions: Any = None


class Speech:
    """POST /v1/audio/speech."""

    def __init__(self, model: ModelCard) -> None:
        self._model = model

    async def create(self, request: Request) -> Response:
        wanted = await read_json(request, SpeechRequest)
        self._check(wanted)
        text = wanted.input
        item = Message(role="user", content=[InputText(text=text)], id=new_id("item"))
        speaking = _Speaking(OneAnswer(account_of(request), self._model, [Said(item, (TextPart(text),))]), wanted)
        first = await unless_gone(request, speaking.begin())
        media_type = MEDIA_TYPE if wanted.stream_format == "sse" else MEDIA_TYPES[wanted.response_format]
        told = speaking.as_events(first) if wanted.stream_format == "sse" else speaking.all(first)
        return StreamingResponse(told, media_type=media_type)

    def _check(self, wanted: SpeechRequest) -> None:
        if not self._model.speaks:
            raise ProtocolError(
                f"the model {self._model.name!r} does not speak; serve one that does, or ask for text",
                code=errors.UNSUPPORTED_VALUE,
                param="model",
            )


class _Speaking:
    """One recording, in pieces of the file that is wanted."""

    def __init__(self, answer: OneAnswer, wanted: SpeechRequest) -> None:
        self._answer, self._wanted = answer, wanted
        self._pieces = self._encoded()
        self._usage: dict[str, int] = {}

    async def begin(self) -> bytes:
        """The first piece. Until it is there, an error can still be told with a status. Raises ProtocolError."""
        paced = AudioSettings(output=AudioOutput(speed=self._wanted.speed))
        await self._answer.begin(ResponseSettings(omni=_settings(self._wanted), audio=paced))
        try:
            return await anext(self._pieces)
        except StopAsyncIteration:
            self._answer.close()
            raise ProtocolError(
                "nothing of this text can be said; send words", code=errors.INVALID_VALUE, param="input"
            ) from None
        except BaseException:  # cancelled, too
            self._answer.close()
            raise

    async def all(self, first: bytes) -> AsyncIterator[bytes]:
        try:
            yield first
            async for piece in self._pieces:
                yield piece
        finally:
            self._answer.close()

    async def as_events(self, first: bytes) -> AsyncIterator[str]:
        try:
            async for piece in self.all(first):
                yield sent({"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode("ascii")})
            yield sent({"type": "speech.audio.done", "usage": self._usage})
        except ProtocolError as error:
            yield sent({"type": "error", "error": error_body(error)})

    async def _encoded(self) -> AsyncIterator[bytes]:
        kind = self._wanted.response_format
        if kind == "pcm":
            async for pcm in self._pcm():
                yield pcm
        elif kind == "wav":
            head = wav_head(PCM.rate_hz)
            async for pcm in self._pcm():
                yield head + pcm
                head = b""
        elif sound := b"".join([pcm async for pcm in self._pcm()]):
            samples = np.frombuffer(sound, "<i2")
            yield await asyncio.to_thread(write_recording, samples, PCM.rate_hz, kind)

    async def _pcm(self) -> AsyncIterator[bytes]:
        async for event in self._answer.events():
            if isinstance(event, events.ResponseOutputAudioDelta):
                yield event.delta
            elif isinstance(event, events.ResponseDone) and event.response.usage is not None:
                usage = event.response.usage
                self._usage = {
                    "input_tokens": usage.input_tokens,
                    "output_tokens": usage.output_tokens,
                    "total_tokens": usage.total_tokens,
                }


def _settings(wanted: SpeechRequest) -> OmniSettings:
    settings = OmniSettings(output=["speech"])
    if wanted.seed is not None:
        settings.seed = wanted.seed
    return settings
