"""Speech to text over plain HTTP, as OpenAI's audio API has it. Recordings are WAV: the server decodes nothing else."""

import asyncio
import io
import wave
from typing import Literal

import msgspec
import numpy as np
from msgspec import Struct
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from omnisdk.protocol import errors, limits
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.input_buffer import check_length
from omnisdk.protocol.settings import DEFAULT_OMNI, OmniSettings, merged
from runtime.engine.engine import Engine
from runtime.engine.request import GenerationRequest, SpeechPart, Turn
from runtime.server.engine_bridge import EngineBridge
from runtime.server.model_card import ModelCard
from runtime.server.responses import new_id
from runtime.server.task import choose_task
from runtime.server.usage import usage_of

FILE = "file"


class TranscriptionRequest(Struct, kw_only=True):
    """What of OpenAI's request counts here; the rest is passed over."""

    response_format: Literal["json", "text", "verbose_json"] = "json"


class Transcriptions:
    """The endpoint."""

    def __init__(self, engine: Engine, model: ModelCard) -> None:
        self._engine, self._model = engine, model

    async def transcriptions(self, request: Request) -> Response:
        async with request.form(max_part_size=limits.MAX_INBOUND_FRAME_BYTES) as form:
            recording = form.get(FILE)
            encoded = await recording.read() if isinstance(recording, UploadFile) else None
            fields = {name: part for name, part in form.items() if isinstance(part, str)}
        wanted = _read(fields)
        if encoded is None:
            raise _refused("no recording came; send a WAV as file `file`", FILE)
        speech = await asyncio.to_thread(_decoded, encoded)
        seconds = len(speech.pcm) / speech.sample_rate_hz
        check_length(seconds, self._model.max_speech_s, FILE)
        return await self._answer(speech, seconds, wanted)

    async def _answer(self, speech: SpeechPart, seconds: float, wanted: TranscriptionRequest) -> Response:
        task = choose_task(self._model, [Turn("user", (speech,))], merged(DEFAULT_OMNI, OmniSettings(output=["text"])))
        bridge, request_id = EngineBridge(self._engine), new_id("transcription")
        try:
            finished = await bridge.ask(GenerationRequest(request_id, task.turns, task.recipe, partial_every=0))
        finally:
            bridge.close()
        if finished.status != "completed":
            message = finished.error or "the recording was not transcribed; ask again"
            raise ProtocolError(message, code="generation_failed", kind=errors.SERVER_ERROR)
        text = (finished.slots[0].text or "").strip()
        if wanted.response_format == "text":
            return PlainTextResponse(text + "\n")
        usage = usage_of(finished.usage)
        told: dict[str, object] = {
            "text": text,
            "usage": {
                "type": "tokens",
                "input_tokens": usage.input_tokens,
                "output_tokens": usage.output_tokens,
                "total_tokens": usage.total_tokens,
                "input_token_details": {
                    "text_tokens": usage.input_token_details.text_tokens,
                    "audio_tokens": usage.input_token_details.audio_tokens,
                },
            },
        }
        if wanted.response_format == "verbose_json":
            told |= {"task": "transcribe", "language": "english", "duration": seconds, "segments": []}
        return JSONResponse(told)


def _read(fields: dict[str, str]) -> TranscriptionRequest:
    try:
        return msgspec.convert(fields, TranscriptionRequest, strict=False)
    except msgspec.ValidationError as problem:
        text, _, path = str(problem).partition(" - at `$.")
        raise _refused(f"{text}; send json, text or verbose_json", path.rstrip("`") or None) from None


def _decoded(encoded: bytes) -> SpeechPart:
    """A WAV of 16-bit samples, any rate; channels are mixed."""
    try:
        with wave.open(io.BytesIO(encoded)) as recording:
            channels, width, rate_hz = recording.getnchannels(), recording.getsampwidth(), recording.getframerate()
            frames = recording.readframes(recording.getnframes())
    except (wave.Error, EOFError) as problem:
        raise _refused(
            f"this is no WAV file ({problem}); convert the recording: ffmpeg -i IN -ac 1 OUT.wav", FILE
        ) from None
    if width != 2:
        raise _refused(
            f"samples of {8 * width} bits came; 16 are taken; convert: ffmpeg -i IN -c:a pcm_s16le OUT.wav", FILE
        )
    samples = np.frombuffer(frames[: len(frames) // (2 * channels) * 2 * channels], "<i2").reshape(-1, channels)
    if len(samples) * 1000 < rate_hz * limits.MIN_SPEECH_MS:
        raise _refused(f"a recording of less than {limits.MIN_SPEECH_MS} ms came; send a longer one", FILE)
    return SpeechPart(samples.mean(1).round().astype(np.int16), rate_hz)


def _refused(message: str, param: str | None) -> ProtocolError:
    return ProtocolError(message, code=errors.INVALID_VALUE, param=param)
