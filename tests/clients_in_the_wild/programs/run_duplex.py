"""vLLM-Omni's DuplexClient: speech, a picture, a tool, an interruption, a connection that is cut. Prints what it saw.

Its module is loaded without its package, which would import vLLM.
"""

import asyncio
import base64
import importlib.util
import sys
import types

import numpy as np
import soxr
import websockets
from played import KEY, ROOMS, STATES, URL, picture, recording, tell

package = types.ModuleType("vllm_omni")
package.__path__ = list(importlib.util.find_spec("vllm_omni").submodule_search_locations)
sys.modules["vllm_omni"] = package

from vllm_omni.clients import duplex  # noqa: E402

RATE_HZ = 16_000  # the client's default
TOOL = {
    "type": "function",
    "name": "set_light",
    "description": "Turn the light of a room on or off",
    "parameters": {
        "type": "object",
        "properties": {"room": {"type": "string", "enum": ROOMS}, "state": {"type": "string", "enum": STATES}},
        "required": ["room", "state"],
    },
}
SOCKETS = []
SEEN = {"answers": [], "heard": [], "errors": []}


async def connect(url: str) -> websockets.ClientConnection:
    headers = {"Authorization": f"Bearer {KEY}"}
    SOCKETS.append(await websockets.connect(url, additional_headers=headers, max_size=64 << 20))
    return SOCKETS[-1]


def said() -> bytes:
    """PCM16 at the client's own rate."""
    pcm, rate_hz = recording()
    return soxr.resample(np.frombuffer(pcm, np.int16), rate_hz, RATE_HZ).tobytes()


async def watch(client: duplex.DuplexClient, kinds: list[str], numbers: list[int]) -> None:
    async for event in client.events():
        kinds.append(event.type)
        if event.server_event_seq is not None:
            numbers.append(event.server_event_seq)
        if event.type == "error":
            SEEN["errors"].append(event.message)
        if event.type.endswith("input_audio_transcription.completed"):
            SEEN["heard"].append(event.text)


async def answer(client: duplex.DuplexClient, *, played: float = 1.0) -> None:
    """played: the share of it that is acknowledged."""
    async for response in client.responses():
        sound = b"".join([chunk async for chunk in response.audio()])
        await client.ack_playback(played * response.played_ms, response_id=response.response_id)
        done = response.done_event.raw["response"]
        words = response.transcript + response.text
        told = {"status": done["status"], "words": words, "sound": sound}
        SEEN["answers"].append(told | {"output": done["output"]})
        return


async def say(client: duplex.DuplexClient, text: str, **response: object) -> None:
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    await client.send({"type": "conversation.item.create", "item": item})
    await client.send({"type": "response.create", "response": response})


async def speak(client: duplex.DuplexClient, pcm: bytes) -> None:
    await client.stream_pcm(pcm, realtime=False)
    await client.commit()


async def main() -> None:
    pcm, kinds, numbers = said(), [], []
    config = duplex.SessionConfig(instructions="Be brief.", playback_commit_policy="ack_only")
    policy = duplex.ReconnectPolicy(backoff_s=(0.01, 0.05))
    async with duplex.DuplexClient(URL, model="omni", config=config, connect=connect, reconnect=policy) as client:
        watching = asyncio.create_task(watch(client, kinds, numbers))
        await speak(client, pcm)
        await answer(client)

        await client.append_audio(b"", video_frames=[base64.b64encode(picture()).decode()])
        await say(client, "describe the picture")
        await answer(client, played=0.5)

        await say(client, "turn the light off in the hall", tools=[TOOL], tool_choice="required")
        await answer(client)
        call_id = SEEN["answers"][-1]["output"][0]["call_id"]
        given = {"type": "function_call_output", "call_id": call_id, "output": "the light is off"}
        await client.send({"type": "conversation.item.create", "item": given})

        begun = asyncio.create_task(client.wait_for("response.output_item.added", timeout_s=20))
        await say(client, "what can you do?")
        await begun
        await client.cancel_response()
        await answer(client)

        begun = asyncio.create_task(client.wait_for("response.output_item.added", timeout_s=20))
        await say(client, "what can you do?")
        await begun
        SOCKETS[-1].transport.abort()
        await answer(client)

        await speak(client, pcm)
        await answer(client)
        half_heard = SEEN["answers"][1]["output"][0]["id"]
        await client.send({"type": "conversation.item.retrieve", "item_id": half_heard})
        retrieved = await client.wait_for("conversation.item.retrieved", timeout_s=10)
        SEEN["remembered"] = retrieved.raw["item"]["content"][0]["transcript"]
        await client.send({"type": "session.heartbeat"})
        await client.wait_for("session.heartbeat_ack", timeout_s=10)
    await watching
    tell(**SEEN, kinds=kinds, numbers=numbers, sockets=len(SOCKETS))


asyncio.run(asyncio.wait_for(main(), 240))
