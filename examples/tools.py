"""A function the model may call. Its arguments are filled into a JSON skeleton, so they always fit its types."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Literal

from omnisdk import Agent, Client, tool


class Room(StrEnum):
    KITCHEN = "kitchen"
    HALL = "hall"


@tool
def set_light(room: Room, state: Literal["on", "off"]) -> str:
    """Turn a light on or off.

    Args:
        room: the room it is in
    """
    return f"the light in the {room} is {state}"


def main(words: str, url: str | None = None) -> None:
    with Client(url) if url else Client.local() as omni:
        result = Agent(omni, tools=[set_light], output=["text"]).run_sync(words)
        for called in result.tool_calls:
            print(f"{called.call} -> {called.output}")
        print(result.text)


if __name__ == "__main__":
    main(*sys.argv[1:])
