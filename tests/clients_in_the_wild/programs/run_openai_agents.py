"""A voice agent of openai-agents: a turn, a tool call, its output, another turn. Prints what it saw as JSON."""

import asyncio
import json
import sys

from agents import function_tool
from agents.realtime import RealtimeAgent, RealtimeRunner

CALLED = []


@function_tool
def stop_timer(room: str) -> str:
    """Stop the timer.

    Args:
        room: where it is
    """
    CALLED.append(room)
    return "stopped"


async def main(url: str) -> None:
    agent = RealtimeAgent(name="house", instructions="Be brief.", tools=[stop_timer])
    settings = {"model_name": "omni", "modalities": ["audio"]}
    runner = RealtimeRunner(agent, config={"model_settings": settings})
    kinds, errors = [], []
    async with await runner.run(model_config={"url": f"{url}/v1/realtime?model=omni", "api_key": "any"}) as session:
        await session.send_message("stop the timer in the hall")
        ends = 0
        async for event in session:
            kinds.append(event.type)
            if event.type == "error":
                errors.append(str(event.error))
            if event.type == "agent_end":
                ends += 1
                if ends == 2:
                    break
        history = [item.model_dump() for item in session._history]
    print(json.dumps({"kinds": kinds, "called": CALLED, "errors": errors, "history": history}))


asyncio.run(asyncio.wait_for(main(sys.argv[1]), 30))
