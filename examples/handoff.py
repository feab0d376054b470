"""Two agents: the first hands the turn to the second when it is about the second's business."""

from __future__ import annotations

import sys

from omnisdk import Agent, Called, Client, Handoff, tool


@tool
def stop_timer() -> str:
    """Stop the kitchen timer."""
    return "the timer is off"


def main(words: str, url: str | None = None) -> None:
    with Client(url) if url else Client.local() as omni:
        cook = Agent(omni, "You cook.", tools=[stop_timer], name="cook", description="Kitchen, timer and food.")
        porter = Agent(omni, "You open doors.", handoffs=[cook], name="porter")
        for event in porter.stream_sync(words):
            if isinstance(event, Handoff):
                print(f"handed to the {event.agent.name}")
            elif isinstance(event, Called):
                print(f"{event.call} -> {event.output}")


if __name__ == "__main__":
    main(*sys.argv[1:])
