"""LiveKit's realtime plugin without a room: words, a voice that is committed by hand, a picture, a tool, an
interruption."""

import asyncio
import io
import json
from typing import Any, Literal

from livekit import rtc
from livekit.agents import llm
from livekit.plugins import openai
from PIL import Image
from played import KEY, URL, picture, recording, tell

HEARD, ERRORS, STATUSES, CALLED, ANSWERS = [], [], [], [], []


@llm.function_tool
async def stop_timer(room: Literal["kitchen", "hall"]) -> str:
    """Stop the timer.

    Args:
        room: where it is
    """
    return "stopped"


def note(event: dict[str, Any]) -> None:
    if event["type"] == "response.done":
        STATUSES.append(event["response"]["status"])
    if event["type"] == "conversation.item.input_audio_transcription.completed":
        HEARD.append(event["transcript"])


async def ask(session: llm.RealtimeSession, *items: object) -> None:
    chat = session.chat_ctx.copy()
    chat.items.extend(items)
    await session.update_chat_ctx(chat)


def words(text: str) -> llm.ChatMessage:
    return llm.ChatMessage(role="user", content=[text])


async def answer(session: llm.RealtimeSession, *, interrupted: bool = False) -> list[llm.FunctionCall]:
    """The calls it makes. interrupted: as soon as it begins."""
    generation = await session.generate_reply()
    if interrupted:
        session.interrupt()
    said, sound = "", b""
    async for message in generation.message_stream:
        said += "".join([str(word) async for word in message.text_stream])
        sound += b"".join([bytes(frame.data) async for frame in message.audio_stream])
    ANSWERS.append({"words": said, "sound": sound})
    return [call async for call in generation.function_stream]


async def converse(session: llm.RealtimeSession) -> None:
    await session.update_instructions("Be brief.")
    await session.update_tools([stop_timer])
    await ask(session, words("what can you do?"))
    await answer(session)

    pcm, rate_hz = recording()
    session.push_audio(rtc.AudioFrame(pcm, rate_hz, 1, len(pcm) // 2))
    session.commit_audio()
    await answer(session)

    image = Image.open(io.BytesIO(picture())).convert("RGBA")
    session.push_video(rtc.VideoFrame(image.width, image.height, rtc.VideoBufferType.RGBA, image.tobytes()))
    await ask(session, words("describe the picture"))
    await answer(session)

    await ask(session, words("stop the timer in the hall"))
    (call,) = await answer(session)
    CALLED.append(json.loads(call.arguments)["room"])
    output = llm.FunctionCallOutput(call_id=call.call_id, name=call.name, output="stopped", is_error=False)
    await ask(session, output)
    await answer(session)

    await ask(session, words("what can you do?"))
    await answer(session, interrupted=True)
    await ask(session, words("what can you do?"))
    await answer(session)


async def main() -> None:
    base_url = URL.replace("ws://", "http://") + "/v1"
    model = openai.realtime.RealtimeModel(
        base_url=base_url, api_key=KEY, model="omni", modalities=["audio"], turn_detection=None
    )
    session = model.session()
    session.on("error", lambda event: ERRORS.append(str(event)))
    session.on("openai_server_event_received", note)
    await converse(session)
    await session.aclose()
    await model.aclose()
    tell(answers=ANSWERS, heard=HEARD, called=CALLED, statuses=STATUSES, errors=ERRORS)


asyncio.run(asyncio.wait_for(main(), 240))
