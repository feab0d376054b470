"""Pipecat's realtime service in a pipeline: words, a voice that the server hears, a picture, a tool, speech into an
answer."""

import asyncio
import io
from typing import Any

from PIL import Image
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InputImageRawFrame,
    LLMContextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.llm_service import FunctionCallParams
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.workers.runner import WorkerRunner
from played import KEY, URL, picture, recording, tell

ROOM = {"type": "string", "enum": ["kitchen", "hall"], "description": "where it is"}
TOOL = FunctionSchema("stop_timer", "Stop the timer.", {"room": ROOM}, ["room"])
CALLED, HEARD, ERRORS, ANSWERS = [], [], [], []


class Ear(FrameProcessor):
    """Notes what comes by: before the service what was heard, behind it what was answered."""

    def __init__(self) -> None:
        super().__init__()
        self._words, self._sound = "", b""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        match frame:
            case ErrorFrame():
                ERRORS.append(str(frame))
            case TranscriptionFrame():
                HEARD.append(frame.text)
            case TTSTextFrame():
                self._words += frame.text
            case TTSAudioRawFrame():
                self._sound += frame.audio
        await self.push_frame(frame, direction)

    def take(self) -> dict[str, str | bytes]:
        """What was answered since the last time."""
        told = {"words": self._words, "sound": self._sound}
        self._words, self._sound = "", b""
        return told


class Responses:
    """Told of each output item twice: when it is done, and when its response is."""

    def __init__(self, service: OpenAIRealtimeLLMService, ear: Ear) -> None:
        self._ear, self._done, self._ended = ear, set(), asyncio.Queue()
        service.add_event_handler("on_conversation_item_updated", self._updated)

    async def end(self) -> None:
        """Of the response that is being made."""
        status = await self._ended.get()
        await asyncio.sleep(0.3)  # what it said is still on its way through the pipeline
        ANSWERS.append(self._ear.take() | {"status": status})

    async def _updated(self, _: object, item_id: str, item: Any) -> None:
        if item is None or (item.type == "message" and item.role != "assistant"):
            return
        if item_id in self._done:
            await self._ended.put(item.status)
        self._done.add(item_id)


async def stop_timer(call: FunctionCallParams) -> None:
    CALLED.append(call.arguments["room"])
    await call.result_callback("stopped")


async def speak(task: PipelineWorker) -> None:
    """The recording, and the silence that ends it, as a microphone gives them: 20 ms at a time."""
    pcm, rate_hz = recording()
    pcm += bytes(2 * rate_hz)
    size = rate_hz // 50 * 2
    for first in range(0, len(pcm), size):
        frame = InputAudioRawFrame(audio=pcm[first : first + size], sample_rate=rate_hz, num_channels=1)
        await task.queue_frame(frame)


async def ask(service: OpenAIRealtimeLLMService, text: str) -> None:
    content = [events.ItemContent(type="input_text", text=text)]
    item = events.ConversationItem(type="message", role="user", content=content)
    await service.send_client_event(events.ConversationItemCreateEvent(item=item))
    await service.send_client_event(events.ResponseCreateEvent())


def shown() -> InputImageRawFrame:
    image = Image.open(io.BytesIO(picture())).convert("RGB")
    return InputImageRawFrame(image=image.tobytes(), size=image.size, format="RGB")


async def converse(
    task: PipelineWorker, service: OpenAIRealtimeLLMService, responses: Responses, context: LLMContext
) -> None:
    await task.queue_frame(LLMContextFrame(context))
    await responses.end()

    await speak(task)
    await responses.end()

    await task.queue_frame(shown())
    await asyncio.sleep(0.5)  # it goes through the pipeline, the question beside it
    await ask(service, "describe the picture")
    await responses.end()

    await ask(service, "stop the timer in the hall")
    for _ in ("the call", "what is said of it"):
        await responses.end()

    await ask(service, "what can you do?")
    await speak(task)
    for _ in ("what is interrupted", "the answer to what was said"):
        await responses.end()


async def main() -> None:
    heard = events.AudioInput(turn_detection=events.TurnDetection(silence_duration_ms=500))
    properties = events.SessionProperties(
        instructions="Be brief.", output_modalities=["audio"], audio=events.AudioConfiguration(input=heard)
    )
    settings = OpenAIRealtimeLLMService.Settings(model="omni", session_properties=properties)
    service = OpenAIRealtimeLLMService(api_key=KEY, base_url=f"{URL}/v1/realtime", settings=settings)
    service.register_function("stop_timer", stop_timer)
    context = LLMContext([{"role": "user", "content": "what can you do?"}], ToolsSchema(standard_tools=[TOOL]))
    pair, before, after = LLMContextAggregatorPair(context), Ear(), Ear()
    pipeline = Pipeline([pair.user(), before, service, after, pair.assistant()])
    task = PipelineWorker(pipeline, cancel_on_idle_timeout=False)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(task)
    running = asyncio.create_task(runner.run())
    await converse(task, service, Responses(service, after), context)
    await task.queue_frame(EndFrame())
    await running
    tell(answers=ANSWERS, heard=HEARD, called=CALLED, errors=ERRORS)


asyncio.run(asyncio.wait_for(main(), 240))
