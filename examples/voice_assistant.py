"""A voice assistant: it hears when you speak, calls tools, answers aloud, and falls silent when you speak into it.

Through the microphone (`pip install "omnisdk[audio]"`), or: voice_assistant.py request.wav ws://127.0.0.1:8765
"""

from __future__ import annotations

import sys
from typing import Literal

from omnisdk import Agent, AgentResult, Called, Client, Speech, TurnFailed, Understood, UserBegan

from omnisdk import microphone, speaker, tool  # isort: skip


@tool(on_interrupt="finish", reply="when_idle")
def set_light(room: Literal["kitchen", "hall"], state: Literal["on", "off"]) -> str:
    """Turn a light on or off."""
    return f"the light in the {room} is {state}"


def main(recording: str | None = None, url: str | None = None) -> None:
    with Client(url) if url else Client.local() as omni:
        agent = Agent(omni, "You run a house.", tools=[set_light])
        for event in agent.live_sync(Speech(recording) if recording else microphone(), speaker()):
            if isinstance(event, UserBegan) and event.heard_s is not None:
                print(f"(you spoke into it after {event.heard_s:.1f} s)")
            elif isinstance(event, Understood):
                print(f"you: {event.text}")
            elif isinstance(event, Called):
                print(f"{event.call} -> {event.output}")
            elif isinstance(event, AgentResult):
                print(f"omni: {event.text}")
            elif isinstance(event, TurnFailed):
                print(event.error, file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
