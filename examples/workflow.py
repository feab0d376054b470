"""Steps that are composed: a sentence is made into a wish, the wish into a picture and its caption, partials shown."""

from __future__ import annotations

import asyncio
import sys

from omnisdk import AsyncClient, Response, StepEvent, Workflow


async def main(words: str, picture: str = "picture.png", url: str | None = None) -> None:
    async with AsyncClient(url) if url else AsyncClient.local() as omni, omni.session(output=["image"]) as drawing:

        def wish(subject: str) -> str:
            return f"draw {subject}"

        async def draw(wish: str) -> Response:
            await drawing.send(wish)
            return drawing.respond()  # on its way: the workflow tells its partials

        async def describe(drawn: Response) -> str:
            return (await omni.ask(drawn.image or "", "describe the picture", output=["text"])).text

        async def keep(drawn: Response) -> str:
            return str(drawn.image.save(picture)) if drawn.image else "no picture"

        flow = Workflow(wish).step(draw).parallel(words=describe, file=keep)
        async for event in flow.stream(words):
            if isinstance(event, StepEvent):
                print(f"{event.step}: {event.kind} {event.value if event.kind == 'partial' else ''}")
            else:
                print(event.value)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
