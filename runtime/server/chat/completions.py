"""Chat completions over plain HTTP, as OpenAI's API has them: text, pictures and speech in and out, function calls.

Pictures of an answer stand in `images` of its message, as other servers of this API have them.
"""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np
from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from omnisdk.protocol import response
from omnisdk.protocol.audio import PCM
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.items import FunctionCallOutput
from omnisdk.protocol.settings import (
    FunctionTool,
    OmniSettings,
    ResponseSettings,
    SlotSettings,
    ToolChoice,
    ToolChoiceFunction,
    merged,
)
from omnisdk.protocol.skeleton import skeleton_of
from runtime.server.chat.deltas import Delta, Deltas, Joined
from runtime.server.chat.reading import offered_tools, read_messages
from runtime.server.chat.requests import ChatRequest, ChosenTool, JsonSchema, check_supported
from runtime.server.http_body import read_json
from runtime.server.http_errors import account_of, error_body, unless_gone
from runtime.server.model_card import ModelCard
from runtime.server.one_answer import OneAnswer, Said
from runtime.server.recordings import FileKind, write_recording
from runtime.server.responses import new_id
from runtime.server.server_sent import DONE, MEDIA_TYPE, sent
from runtime.server.tracing import ToolSpans

CHUNK, WHOLE = "chat.completion.chunk", "chat.completion"
PARAMS = {"output_modalities": "modalities", "omni.output": "modalities"}  # as a chat calls what a response calls so


class ChatCompletions:
    """POST /v1/chat/completions. tools: sees calls, and what came of them with a later request."""

    def __init__(self, model: ModelCard, tools: ToolSpans | None = None) -> None:
        self._model, self._tools = model, tools

    async def create(self, request: Request) -> Response:
        wanted = await read_json(request, ChatRequest)
        check_supported(wanted)
        settings = response_settings(wanted, self._model)
        said = await read_messages(wanted.messages, self._model.max_speech_s)
        self._note_outputs(said)
        answer = OneAnswer(account_of(request), self._model, said)
        telling = _Telling(answer, wanted, self._model.name, self._tools)
        try:
            await unless_gone(request, answer.begin(settings))
        except ProtocolError as error:
            error.param = PARAMS.get(error.param or "", error.param)
            raise
        if wanted.stream:
            return StreamingResponse(telling.streamed(), media_type=MEDIA_TYPE)
        return JSONResponse(await unless_gone(request, telling.whole()))

    def _note_outputs(self, said: Sequence[Said]) -> None:
        for one in said:
            if self._tools is not None and isinstance(one.item, FunctionCallOutput):
                self._tools.answered(one.item.call_id)


def response_settings(wanted: ChatRequest, model: ModelCard) -> ResponseSettings:
    """What the request asks of its one response. Raises ProtocolError."""
    tools, choice = offered_tools(wanted.tools or []), _choice(wanted)
    if isinstance(wanted.response_format, JsonSchema):
        tools, choice = [_as_tool(wanted.response_format)], ToolChoiceFunction(name=_schema_name(wanted) or "")
    limit = wanted.max_completion_tokens or wanted.max_tokens
    return ResponseSettings(
        output_modalities=["audio"] if "audio" in (wanted.modalities or ()) else UNSET,
        tools=tools,
        tool_choice=choice,
        max_output_tokens=limit if limit is not None else UNSET,
        omni=_omni(wanted, model),
    )


def _choice(wanted: ChatRequest) -> ToolChoice:
    choice = wanted.tool_choice
    return ToolChoiceFunction(name=choice.function.name) if isinstance(choice, ChosenTool) else choice or "auto"


def _as_tool(wanted: JsonSchema) -> FunctionTool:
    """An answer of a form is filled in as the arguments of a tool are. Raises ProtocolError."""
    form = wanted.json_schema
    skeleton_of(form.schema, "", "response_format.json_schema.schema")
    return FunctionTool(name=form.name, description=form.description, parameters=form.schema)


def _schema_name(wanted: ChatRequest) -> str | None:
    return wanted.response_format.json_schema.name if isinstance(wanted.response_format, JsonSchema) else None


def _omni(wanted: ChatRequest, model: ModelCard) -> OmniSettings:
    """The request's own numbers, under those of its `omni`."""
    own = OmniSettings()
    if wanted.seed is not None:
        own.seed = wanted.seed
    if wanted.modalities is not None and "audio" not in wanted.modalities:
        own.output = ["image", "text"] if "image" in wanted.modalities else ["text"]
    numbers = {"temperature": wanted.temperature, "top_p": wanted.top_p}
    given = {name: value for name, value in numbers.items() if value is not None}
    if given and "text" in model.slot_names:
        own.generation = {"text": SlotSettings(**given)}  # type: ignore[arg-type]
    return merged(own, UNSET if wanted.omni is None else wanted.omni)


class _Telling:
    """One answer, told whole or in chunks."""

    def __init__(self, answer: OneAnswer, wanted: ChatRequest, model_name: str, tools: ToolSpans | None) -> None:
        self._answer, self._wanted, self._model_name = answer, wanted, model_name
        self._tools = None if _schema_name(wanted) is not None else tools  # an answer of a form is no call
        self._id, self._created = new_id("chatcmpl"), int(time.time())
        self._deltas = Deltas(answer.picture, self._created, _schema_name(wanted))

    async def whole(self) -> dict[str, Any]:
        joined = Joined()
        try:
            async for delta in self._told():
                joined.add(delta)
        finally:
            self._answer.close()
        message = joined.message(await asyncio.to_thread(self._file, joined.sound) if joined.spoken else None)
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._deltas.finish_reason}
        return self._object(WHOLE, [choice], usage=self._usage(), omni=self._told_beside())

    async def _told(self) -> AsyncIterator[Delta]:
        async for event in self._answer.events():
            if self._tools is not None:
                self._tools.sent(event)
            for delta in self._deltas.of(event):
                yield delta

    def _file(self, sound: list[bytes]) -> str:
        """The sound as it is wanted, in base64."""
        assert self._wanted.audio is not None
        pcm, kind = b"".join(sound), self._wanted.audio.format
        if kind != "pcm16":
            file_kind: FileKind = kind
            pcm = write_recording(np.frombuffer(pcm, "<i2"), PCM.rate_hz, file_kind)
        return base64.b64encode(pcm).decode("ascii")

    async def streamed(self) -> AsyncIterator[str]:
        """Server-sent events."""
        counted = self._wanted.stream_options is not None and self._wanted.stream_options.include_usage
        unknown: dict[str, Any] = {"usage": None} if counted else {}
        try:
            yield self._chunk({"role": "assistant", "content": ""}, **unknown)
            async for delta in self._told():
                yield self._chunk(delta, **unknown)
            yield self._chunk({}, self._deltas.finish_reason, **unknown, omni=self._told_beside())
            if counted:
                yield sent(self._object(CHUNK, [], usage=self._usage()))
            yield DONE
        except ProtocolError as error:
            yield sent({"error": error_body(error)})
        finally:
            self._answer.close()

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return sent(self._object(CHUNK, [choice], **more))

    def _object(self, kind: str, choices: list[Any], **more: Any) -> dict[str, Any]:
        head = {"id": self._id, "object": kind, "created": self._created, "model": self._model_name}
        return {**head, "choices": choices, **more}

    def _usage(self) -> dict[str, Any] | None:
        done = self._deltas.done
        return None if done is None or done.usage is None else chat_usage(done.usage)

    def _told_beside(self) -> dict[str, Any]:
        """What the API has no place for: what the user was heard to say, how many steps it took."""
        done = self._deltas.done
        steps = done.usage.omni.steps if done is not None and done.usage is not None else 0
        return {"transcript": self._deltas.transcript, "steps": steps}


def chat_usage(usage: response.Usage) -> dict[str, Any]:
    read, written = usage.input_token_details, usage.output_token_details
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {
            "cached_tokens": read.cached_tokens,
            "audio_tokens": read.audio_tokens,
            "text_tokens": read.text_tokens,
            "image_tokens": read.image_tokens,
        },
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": written.audio_tokens,
            "text_tokens": written.text_tokens,
            "image_tokens": written.image_tokens,
        },
    }
