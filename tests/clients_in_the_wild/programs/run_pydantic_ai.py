"""A realtime session of pydantic-ai: a turn, a tool call, its output. Prints what it saw as JSON."""

import asyncio
import json
import sys

from pydantic_ai import Agent
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.realtime import RealtimeSessionErrorEvent, RealtimeTurnCompleteEvent
from pydantic_ai.realtime.openai import OpenAIRealtimeModel

CALLED = []
agent = Agent(instructions="Be brief.")


@agent.tool_plain
def stop_timer(room: str) -> str:
    """Stop the timer.

    Args:
        room: where it is
    """
    CALLED.append(room)
    return "stopped"


async def main(url: str) -> None:
    base = url.replace("ws://", "http://") + "/v1"
    model = OpenAIRealtimeModel("omni", provider=OpenAIProvider(base_url=base, api_key="any"))
    kinds, errors = [], []
    async with agent.realtime(model).session() as session:
        await session.send("stop the timer in the hall")
        async for event in session:
            kinds.append(type(event).__name__)
            if isinstance(event, RealtimeSessionErrorEvent):
                errors.append(str(event))
            if isinstance(event, RealtimeTurnCompleteEvent):
                break
        said = [str(part) for message in session.all_messages() for part in message.parts]
    print(json.dumps({"kinds": kinds, "called": CALLED, "errors": errors, "history": said}))


asyncio.run(asyncio.wait_for(main(sys.argv[1]), 30))
