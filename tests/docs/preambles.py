"""What snippets take as given, by page and by how they begin; all have an open client `omni` and two files."""

README = """
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Literal
from omnisdk import *
picture = Image("cat.png")
"""
FORMING = """
open_session = ExitStack()
session = open_session.enter_context(omni.session(output=["image"]))
session.send("draw a cat")
response = session.respond(steps=60)
next(iter(response))
"""
COOK = """
open_session.close()

@tool
def stop_timer() -> str:
    "Stop the kitchen timer."
    return "the timer is off"

cook = Agent(omni, "You cook.", tools=[stop_timer], name="cook", description="Soup, food, timer.")
"""

STEPS = """
def look_up(subject: str) -> str:
    return f"draw {subject}"

async def draw(wish: str) -> Response:
    return await omni.asynchronous.ask(wish, output=["image"])

async def describe(wish: str) -> str:
    return wish.upper()
"""

PREAMBLES = {
    "README.md": {
        "from omnisdk": README,
        "response.edit": FORMING,
        'omni.ask(picture, "is it': COOK,
        "flow = ": STEPS,
        "client = AsyncOpenAI": "from openai import AsyncOpenAI",
    },
    "docs/http.md": {"client = OpenAI": "from openai import OpenAI"},
}
