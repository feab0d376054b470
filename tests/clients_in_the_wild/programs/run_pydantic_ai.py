"""A realtime session of pydantic-ai: words, a voice that the server hears, a picture, a tool, speech into an answer."""

import asyncio
from typing import Literal

from played import KEY, URL, picture, recording, tell
from pydantic_ai import Agent, BinaryContent
from pydantic_ai.messages import ModelResponse, PartEndEvent, PartStartEvent, SpeechPart
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.realtime import RealtimeSession, RealtimeSessionErrorEvent, RealtimeTurnCompleteEvent
from pydantic_ai.realtime.openai import OpenAIRealtimeModel

CALLED, HEARD, ERRORS, ANSWERS = [], [], [], []
agent = Agent(instructions="Be brief.")


@agent.tool_plain
def stop_timer(room: Literal["kitchen", "hall"]) -> str:
    """Stop the timer.

    Args:
        room: where it is
    """
    CALLED.append(room)
    return "stopped"


def spoken() -> bytes:
    """What is said, and the silence that ends it."""
    pcm, rate_hz = recording()
    return pcm + bytes(2 * rate_hz)


async def listen(session: RealtimeSession, sound: bytearray) -> None:
    async for chunk in session.stream_audio():
        sound += chunk


async def watch(session: RealtimeSession, sound: bytearray, ended: asyncio.Queue[None], begun: asyncio.Event) -> None:
    words = ""
    async for event in session:
        match event:
            case RealtimeSessionErrorEvent():
                ERRORS.append(str(event))
            case PartStartEvent(part=SpeechPart(speaker="assistant")):
                begun.set()
            case PartEndEvent(part=SpeechPart(speaker="assistant", transcript=transcript)):
                words = transcript or ""
            case PartEndEvent(part=SpeechPart(speaker="user", transcript=transcript)):
                HEARD.append(transcript)
            case RealtimeTurnCompleteEvent():
                ANSWERS.append({"words": words, "sound": bytes(sound)})
                sound.clear()
                words = ""
                await ended.put(None)


async def main() -> None:
    ended, begun, sound = asyncio.Queue(), asyncio.Event(), bytearray()
    provider = OpenAIProvider(base_url=URL.replace("ws://", "http://") + "/v1", api_key=KEY)
    model = OpenAIRealtimeModel("omni", provider=provider)
    async with agent.realtime(model).session() as session:
        listening = asyncio.create_task(listen(session, sound))
        watching = asyncio.create_task(watch(session, sound, ended, begun))
        await session.send("what can you do?")
        await ended.get()

        await session.send_audio(spoken())
        await ended.get()

        await session.send([BinaryContent(picture(), media_type="image/png"), "describe the picture"])
        await ended.get()

        await session.send("stop the timer in the hall")
        await ended.get()

        begun.clear()
        await session.send("what can you do?")
        await begun.wait()
        await session.send_audio(spoken())
        for _ in ("what is interrupted", "the answer to what was said"):
            await ended.get()
        responses = [message for message in session.all_messages() if isinstance(message, ModelResponse)]
    for task in (listening, watching):
        task.cancel()
    tell(answers=ANSWERS, heard=HEARD, called=CALLED, errors=ERRORS, states=[response.state for response in responses])


asyncio.run(asyncio.wait_for(main(), 240))
