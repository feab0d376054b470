"""LiveKit's realtime plugin without a room: a turn, a tool call, its output. Prints what it saw as JSON."""

import asyncio
import json
import sys

from livekit.agents import llm
from livekit.plugins import openai


@llm.function_tool
async def stop_timer(room: str) -> str:
    """Stop the timer.

    Args:
        room: where it is
    """
    return "stopped"


async def main(url: str) -> None:
    model = openai.realtime.RealtimeModel(
        base_url=url.replace("ws://", "http://") + "/v1", api_key="any", model="omni", modalities=["audio"]
    )
    session = model.session()
    errors, kinds, called, words = [], [], [], []
    session.on("error", lambda event: errors.append(str(event)))
    session.on("openai_server_event_received", lambda event: kinds.append(event["type"]))
    await session.update_instructions("Be brief.")
    await session.update_tools([stop_timer])
    chat = llm.ChatContext.empty()
    chat.add_message(role="user", content="stop the timer in the hall")
    await session.update_chat_ctx(chat)
    generation = await session.generate_reply()
    async for call in generation.function_stream:
        called.append(json.loads(call.arguments)["room"])
        chat = session.chat_ctx.copy()
        output = llm.FunctionCallOutput(call_id=call.call_id, name=call.name, output="stopped", is_error=False)
        chat.items.append(output)
    await session.update_chat_ctx(chat)
    generation = await session.generate_reply()
    async for message in generation.message_stream:
        words.append("".join([str(word) async for word in message.text_stream]))
        frames = [frame async for frame in message.audio_stream]
        kinds.append(f"audio frames: {len(frames) > 0}")
    await session.aclose()
    print(json.dumps({"kinds": kinds, "called": called, "errors": errors, "history": words}))


asyncio.run(asyncio.wait_for(main(sys.argv[1]), 30))
