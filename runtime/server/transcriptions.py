"""Speech to text over plain HTTP, as OpenAI's audio API has it, streamed as the words form."""

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from omnisdk.protocol import errors, events, limits, response
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.items import InputAudio, Message
from omnisdk.protocol.settings import OmniSettings, ResponseSettings, SlotSettings
from runtime.server.http_body import read_form
from runtime.server.http_errors import account_of, error_body, unless_gone
from runtime.server.model_card import ModelCard
from runtime.server.one_answer import OneAnswer, Said
from runtime.server.recordings import read_recording
from runtime.server.responses import new_id
from runtime.server.server_sent import MEDIA_TYPE, sent
from runtime.server.task import TRANSCRIPT

FILE = "file"


class TranscriptionRequest(Struct, kw_only=True):
    """temperature: of the transcript. Passed over: model, there is one; language, prompt and how long recordings are
    cut, the model hears as it was taught."""

    response_format: Literal["json", "text", "verbose_json", "srt", "vtt"] = "json"
    stream: bool = False
    temperature: Annotated[float, Meta(ge=0, le=limits.MAX_TEMPERATURE)] | None = None
    timestamp_granularities: list[Literal["segment"]] = []
    model: Any = None
    language: Any = None
    prompt: Any = None
    chunking_strategy: Any = None


@dataclass
class Heard:
    """seconds: of the recording."""

    seconds: float
    text: str = ""
    usage: response.Usage | None = None


class Transcriptions:
    """POST /v1/audio/transcriptions."""

    def __init__(self, model: ModelCard) -> None:
        self._model = model

    async def transcriptions(self, request: Request) -> Response:
        wanted, files = await read_form(request, TranscriptionRequest)
        if FILE not in files:
            raise _refused("no recording came; send one as file `file`", FILE)
        if wanted.stream and wanted.response_format not in ("json", "text"):
            raise _refused(
                f"response_format {wanted.response_format} came with stream; send json or text", "response_format"
            )
        speech = await asyncio.to_thread(read_recording, files[FILE].content, self._model.max_speech_s, FILE)
        item = Message(role="user", content=[InputAudio()], id=new_id("item"))
        heard = Heard(len(speech.pcm) / speech.sample_rate_hz)
        hearing = _Hearing(OneAnswer(account_of(request), self._model, [Said(item, (speech,))]), heard)
        await unless_gone(request, hearing.begin(_settings(wanted, self._model)))
        if wanted.stream:
            return StreamingResponse(hearing.streamed(), media_type=MEDIA_TYPE)
        return _told(await unless_gone(request, hearing.whole()), wanted.response_format)


def _settings(wanted: TranscriptionRequest, model: ModelCard) -> ResponseSettings:
    omni = OmniSettings(output=["text"])
    if wanted.temperature is not None and TRANSCRIPT in model.slot_names:
        omni.generation = {TRANSCRIPT: SlotSettings(temperature=wanted.temperature)}
    return ResponseSettings(omni=omni)


class _Hearing:
    """One recording, told whole or while its words form."""

    def __init__(self, answer: OneAnswer, heard: Heard) -> None:
        self._answer, self._heard = answer, heard

    async def begin(self, settings: ResponseSettings) -> None:
        """Raises ProtocolError."""
        await self._answer.begin(settings)

    async def whole(self) -> Heard:
        async for _ in self._deltas():
            pass
        return self._heard

    async def _deltas(self) -> AsyncIterator[str]:
        try:
            async for event in self._answer.events():
                if isinstance(event, events.ResponseOutputTextDelta):
                    self._heard.text += event.delta
                    yield event.delta
                elif isinstance(event, events.ResponseDone):
                    self._heard.usage = event.response.usage
        finally:
            self._answer.close()

    async def streamed(self) -> AsyncIterator[str]:
        """Server-sent events."""
        try:
            async for delta in self._deltas():
                yield sent({"type": "transcript.text.delta", "delta": delta})
            done = {"type": "transcript.text.done", "text": self._heard.text, "usage": _usage(self._heard.usage)}
            yield sent(done)
        except ProtocolError as error:
            yield sent({"type": "error", "error": error_body(error)})


def _told(heard: Heard, form: str) -> Response:
    """The model tells no times: all that was said is one segment."""
    if form == "text":
        return PlainTextResponse(heard.text + "\n")
    if form == "srt":
        return PlainTextResponse(f"1\n{_time(0, ',')} --> {_time(heard.seconds, ',')}\n{heard.text}\n\n")
    if form == "vtt":
        return PlainTextResponse(f"WEBVTT\n\n{_time(0, '.')} --> {_time(heard.seconds, '.')}\n{heard.text}\n\n")
    if form == "json":
        return JSONResponse({"text": heard.text, "usage": _usage(heard.usage)})
    return JSONResponse(
        {
            "task": "transcribe",
            "language": "english",
            "duration": heard.seconds,
            "text": heard.text,
            "segments": [{"id": 0, "seek": 0, "start": 0.0, "end": heard.seconds, "text": heard.text}],
            "usage": {"type": "duration", "seconds": math.ceil(heard.seconds)},
        }
    )


def _time(seconds: float, point: str) -> str:
    """As 00:00:02,500."""
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{point}{milliseconds:03}"


def _usage(usage: response.Usage | None) -> dict[str, Any] | None:
    if usage is None:
        return None
    return {
        "type": "tokens",
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "input_token_details": {
            "text_tokens": usage.input_token_details.text_tokens,
            "audio_tokens": usage.input_token_details.audio_tokens,
        },
    }


def _refused(message: str, param: str) -> ProtocolError:
    return ProtocolError(message, code=errors.INVALID_VALUE, param=param)
