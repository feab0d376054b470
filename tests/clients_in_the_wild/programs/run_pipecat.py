"""Pipecat's realtime service in a pipeline: a turn and its spoken answer. Prints what it saw as JSON."""

import asyncio
import json
import sys

from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    Frame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    TTSAudioRawFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import PipelineRunner
from pipecat.pipeline.task import PipelineTask
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService

SEEN: dict[str, list[str]] = {"kinds": [], "called": [], "errors": [], "history": []}


class Listener(FrameProcessor):
    """Notes what comes out of the service, and that the answer has been said."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        SEEN["kinds"].append(type(frame).__name__)
        if isinstance(frame, TTSTextFrame):
            SEEN["history"].append(frame.text)
        if isinstance(frame, ErrorFrame):
            SEEN["errors"].append(str(frame))
        await self.push_frame(frame, direction)
        if isinstance(frame, LLMFullResponseEndFrame):
            SAID.set()


SAID = asyncio.Event()


async def main(url: str) -> None:
    service = OpenAIRealtimeLLMService(api_key="any", base_url=f"{url}/v1/realtime")
    task = PipelineTask(Pipeline([service, Listener()]), cancel_on_idle_timeout=False)
    context = LLMContext([{"role": "user", "content": "stop the timer in the hall"}])
    await task.queue_frame(LLMContextFrame(context))
    running = asyncio.create_task(PipelineRunner(handle_sigint=False).run(task))
    await SAID.wait()
    await task.queue_frame(EndFrame())
    await running
    assert TTSAudioRawFrame.__name__ in SEEN["kinds"]
    print(json.dumps(SEEN))


asyncio.run(asyncio.wait_for(main(sys.argv[1]), 40))
