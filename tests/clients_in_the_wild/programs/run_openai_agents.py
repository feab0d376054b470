"""A voice agent of openai-agents: words, a voice that the server hears, a picture, a tool, speech into an answer."""

import asyncio
import base64
from typing import Literal

from agents import function_tool
from agents.realtime import RealtimeAgent, RealtimeRunner, RealtimeSession
from played import KEY, URL, picture, recording, tell

CALLED, HEARD, ERRORS, ANSWERS = [], [], [], []


@function_tool
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


async def watch(session: RealtimeSession, ended: asyncio.Queue[str], begun: asyncio.Event) -> None:
    sound, words = b"", ""
    async for event in session:
        if event.type == "audio":
            sound += event.audio.data
        elif event.type == "error":
            ERRORS.append(str(event.error))
        elif event.type == "raw_model_event" and event.data.type == "input_audio_transcription_completed":
            HEARD.append(event.data.transcript)
        elif event.type == "raw_model_event" and event.data.type == "transcript_delta":
            words += event.data.delta
        elif event.type == "raw_model_event" and event.data.type == "raw_server_event":
            if event.data.data["type"] == "response.created":
                begun.set()
            if event.data.data["type"] == "response.done":
                status = event.data.data["response"]["status"]
                ANSWERS.append({"status": status, "sound": sound, "words": words})
                sound, words = b"", ""
                await ended.put(status)


async def main() -> None:
    ended, begun = asyncio.Queue(), asyncio.Event()
    agent = RealtimeAgent(name="house", instructions="Be brief.", tools=[stop_timer])
    runner = RealtimeRunner(agent, config={"model_settings": {"model_name": "omni", "modalities": ["audio"]}})
    config = {"url": f"{URL}/v1/realtime?model=omni", "api_key": KEY}
    async with await runner.run(model_config=config) as session:
        watching = asyncio.create_task(watch(session, ended, begun))
        await session.send_message("what can you do?")
        await ended.get()

        await session.send_audio(spoken())
        await ended.get()

        shown = "data:image/png;base64," + base64.b64encode(picture()).decode()
        content = [{"type": "input_image", "image_url": shown}, {"type": "input_text", "text": "describe the picture"}]
        await session.send_message({"type": "message", "role": "user", "content": content})
        await ended.get()

        await session.send_message("stop the timer in the hall")
        for _ in ("the call", "what is said of it"):
            await ended.get()

        begun.clear()
        await session.send_message("what can you do?")
        await begun.wait()
        await session.send_audio(spoken())
        for _ in ("what is interrupted", "the answer to what was said"):
            await ended.get()
        history = [item.model_dump() for item in session._history]
    watching.cancel()
    tell(answers=ANSWERS, heard=HEARD, called=CALLED, errors=ERRORS, history=history)


asyncio.run(asyncio.wait_for(main(), 240))
