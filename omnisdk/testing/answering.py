"""One answer of a script, told in the order and with the events of the real server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from omnisdk.media import Image, Speech
from omnisdk.protocol import events, items
from omnisdk.protocol.limits import WIRE_SAMPLE_RATE_HZ
from omnisdk.protocol.response import FailureCause, Response, ResponseStatus, StatusDetails
from omnisdk.protocol.session import SessionRules
from omnisdk.protocol.settings import ResponseSettings
from omnisdk.testing.script import Call, Fail, Say

STEPS = 4
PIECE_MS = 200  # of sound in one event
HUM_MS_PER_LETTER = 60
Put = Callable[..., Awaitable[None]]


@dataclass(frozen=True)
class HeardItem:
    """What the model took a spoken part of an item for."""

    item_id: str
    content_index: int
    words: str


class Answering:
    """put: sends events. It notes with the rules what it says, as the server does."""

    def __init__(
        self,
        rules: SessionRules,
        put: Put,
        wanted: ResponseSettings,
        response_id: str,
        new_id: Callable[[str], str],
    ) -> None:
        self._rules, self._put, self._new_id = rules, put, new_id
        self._metadata = wanted.metadata if isinstance(wanted.metadata, dict) else None
        self._wants_speech = "speech" in (rules.answer_omni(wanted).output or ())
        self._encoding = rules.output_encoding(wanted)
        self._place: dict[str, Any] = {"response_id": response_id, "item_id": new_id("item"), "output_index": 0}
        self._stopped: str | None = None
        self._stop = asyncio.Event()

    def stop(self, reason: str) -> None:
        self._stopped = self._stopped or reason
        self._stop.set()

    async def tell(self, answer: Say | Call | Fail, heard: HeardItem | None) -> None:
        await self._put(events.ResponseCreated(response=self._response("in_progress", [])))
        if heard is not None:
            await self._tell_heard(heard)
        match answer:
            case Say():
                output: list[items.Item] = [await self._say(answer)]
            case Call():
                output = [await self._call(answer)]
            case Fail():
                output = []
        self._rules.responses.end()
        await self._put(events.ResponseDone(response=self._ended(answer, output)))

    def _response(self, status: ResponseStatus, output: list[items.Item]) -> Response:
        modalities = ["audio" if self._wants_speech else "text"]
        response_id, metadata = self._place["response_id"], self._metadata
        return Response(id=response_id, status=status, output=output, output_modalities=modalities, metadata=metadata)

    def _ended(self, answer: Say | Call | Fail, output: list[items.Item]) -> Response:
        if isinstance(answer, Fail):
            ended = self._response("failed", output)
            cause = FailureCause(type="server_error", code="scripted", message=answer.message)
            ended.status_details = StatusDetails(type="failed", error=cause)
        elif self._stopped is not None:
            ended = self._response("cancelled", output)
            ended.status_details = StatusDetails(type="cancelled", reason=self._stopped)
        else:
            ended = self._response("completed", output)
        return ended

    async def _tell_heard(self, heard: HeardItem) -> None:
        self._rules.conversation.note_transcript(heard.item_id, heard.content_index, heard.words)
        await self._put(
            events.ConversationItemInputAudioTranscriptionCompleted(
                item_id=heard.item_id,
                content_index=heard.content_index,
                transcript=heard.words,
                usage=events.SpeechDuration(seconds=0),
            )
        )

    # Saying

    async def _say(self, answer: Say) -> items.Item:
        speech = answer.speech or (_hum(answer.text) if self._wants_speech and answer.text else None)
        await self._begin(self._message([], "in_progress"))
        part = events.AnswerPart(type="audio" if speech else "text")
        await self._put(events.ResponseContentPartAdded(**self._place, content_index=0, part=part))
        if speech is not None:
            content = await self._tell_speech(answer, speech)
        else:
            content = await self._tell_text(answer)
        refs = [await self._tell_picture(answer.image)] if answer.image and not self._stopped else []
        whole = self._message(content, "incomplete" if self._stopped else "completed", refs)
        return await self._settle(whole)

    def _message(
        self, content: list[items.ContentPart], status: items.ItemStatus, refs: list[items.ImageRef] | None = None
    ) -> items.Message:
        return items.Message(
            role="assistant",
            content=content,
            id=self._place["item_id"],
            object="realtime.item",
            status=status,
            omni=items.ItemOmni(images=refs) if refs else None,
        )

    async def _tell_text(self, answer: Say) -> list[items.ContentPart]:
        known = await self._tell_partials(answer)
        text = answer.text[:known]
        place: dict[str, Any] = {**self._place, "content_index": 0}
        if text:
            await self._put(events.ResponseOutputTextDelta(**place, delta=text))
        await self._put(
            events.ResponseOutputTextDone(**place, text=text),
            events.ResponseContentPartDone(**place, part=events.AnswerPart(type="text", text=text)),
        )
        return [items.OutputText(text=text)] if text else []

    async def _tell_partials(self, answer: Say) -> int:
        """The text as it is unmasked, from the left, and the picture from its top. How many letters are known then."""
        text, known = answer.text, 0
        for step in range(1, STEPS + 1):
            if await self._paused(answer.lasts_s / STEPS):
                break
            known = len(text) * step // STEPS
            if self._rules.opted_in and (text or answer.image):
                await self._put(*self._partial(answer, known, step))
        return known

    def _partial(self, answer: Say, known: int, step: int) -> list[events.ServerEvent]:
        ratio = step / STEPS
        shown = [self._words(answer.text, known)] if answer.text else []
        painted = [self._painted(answer.image, step)] if answer.image else []
        slots = {name: ratio for name, told in (("text", shown), ("image", painted)) if told}
        progress = events.OmniProgress(
            response_id=self._place["response_id"], step=step, steps=STEPS, unmasked_ratio=ratio, eta_ms=0, slots=slots
        )
        return [*shown, *painted, progress]

    def _words(self, text: str, known: int) -> events.OmniTextPartial:
        spans = [
            events.Span(start=0, end=known, masked=False, confidence=1.0),
            events.Span(start=known, end=len(text), masked=True, confidence=0.0),
        ]
        return events.OmniTextPartial(response_id=self._place["response_id"], slot="text", text=text, spans=spans)

    def _painted(self, image: Image, step: int) -> events.OmniImagePartial:
        width, height = image.size
        known = [row < step for row in range(STEPS) for _ in range(STEPS)]  # a row of cells a step
        return events.OmniImagePartial(
            response_id=self._place["response_id"],
            slot="image",
            step=step,
            steps=STEPS,
            partial_image_index=step - 1,
            width=width,
            height=height,
            mime="image/png",
            partial_image_b64=image.png,
            rows=STEPS,
            columns=STEPS,
            mask=[int(not cell) for cell in known],
            confidence=[float(cell) for cell in known],
        )

    async def _tell_speech(self, answer: Say, speech: Speech) -> list[items.ContentPart]:
        rate_hz = self._encoding.rate_hz
        pcm = speech.resampled(rate_hz).pcm
        size = PIECE_MS * rate_hz // 1000
        pieces = [pcm[first : first + size] for first in range(0, len(pcm), size)]
        place: dict[str, Any] = {**self._place, "content_index": 0}
        told = 0
        for piece in pieces:
            if await self._paused(answer.lasts_s / len(pieces)):
                break
            self._rules.conversation.note_spoken(self._place["item_id"], len(piece) / rate_hz * 1000)
            await self._put(events.ResponseOutputAudioDelta(**place, delta=self._encoding.wire_bytes(piece)))
            told += 1
        words = answer.text[: round(len(answer.text) * told / len(pieces))]
        if words:
            await self._put(events.ResponseOutputAudioTranscriptDelta(**place, delta=words))
        await self._put(
            events.ResponseOutputAudioDone(**place),
            events.ResponseOutputAudioTranscriptDone(**place, transcript=words),
            events.ResponseContentPartDone(**place, part=events.AnswerPart(type="audio", transcript=words)),
        )
        return [items.OutputAudio(transcript=words)]

    async def _paused(self, seconds: float) -> bool:
        """Wait so long. True as soon as the answer is to stop."""
        if seconds and not self._stopped:
            try:
                await asyncio.wait_for(self._stop.wait(), seconds)
            except TimeoutError:
                return False
        return self._stopped is not None

    async def _tell_picture(self, image: Image) -> items.ImageRef:
        width, height = image.size
        image_id = self._new_id("img")
        ref = items.ImageRef(id=image_id, url=f"/v1/assets/{image_id}", mime="image/png", width=width, height=height)
        if self._rules.opted_in:
            await self._put(events.OmniImageDone(**self._place, image=ref, b64=image.png))
        return ref

    # Calling

    async def _call(self, answer: Call) -> items.Item:
        call_id, arguments = self._new_id("call"), answer.arguments
        await self._begin(self._function_call(answer.name, "", call_id, "in_progress"))
        place: dict[str, Any] = {**self._place, "call_id": call_id}
        await self._put(
            events.ResponseFunctionCallArgumentsDelta(**place, delta=arguments),
            events.ResponseFunctionCallArgumentsDone(**place, name=answer.name, arguments=arguments),
        )
        return await self._settle(self._function_call(answer.name, arguments, call_id, "completed"))

    def _function_call(self, name: str, arguments: str, call_id: str, status: items.ItemStatus) -> items.Item:
        return items.FunctionCall(
            name=name,
            arguments=arguments,
            id=self._place["item_id"],
            call_id=call_id,
            object="realtime.item",
            status=status,
        )

    # The item

    async def _begin(self, item: items.Item) -> None:
        placed = self._rules.conversation.place(item)
        await self._put(
            events.ResponseOutputItemAdded(response_id=self._place["response_id"], output_index=0, item=item),
            events.ConversationItemAdded(item=item, previous_item_id=placed.previous_item_id),
        )

    async def _settle(self, item: items.Item) -> items.Item:
        placed = self._rules.conversation.settle(item)
        await self._put(
            events.ConversationItemDone(item=item, previous_item_id=placed.previous_item_id),
            events.ResponseOutputItemDone(response_id=self._place["response_id"], output_index=0, item=item),
        )
        return item


def _hum(text: str) -> Speech:
    """What stands for speech: 220 Hz, quiet."""
    seconds = np.arange(len(text) * HUM_MS_PER_LETTER * WIRE_SAMPLE_RATE_HZ // 1000) / WIRE_SAMPLE_RATE_HZ
    return Speech.said((2000 * np.sin(2 * np.pi * 220 * seconds)).astype(np.int16), WIRE_SAMPLE_RATE_HZ)
