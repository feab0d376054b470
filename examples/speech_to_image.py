"""Say what to draw and watch the picture form."""

from __future__ import annotations

import asyncio
import sys

from omnisdk import AsyncClient, Speech


async def main(recording: str, picture: str = "picture.png", url: str | None = None) -> None:
    client = AsyncClient(url) if url else AsyncClient.local()
    async with client as omni, omni.session(output=["image", "text"]) as session:
        await session.send(Speech(recording))
        response = session.respond()
        async for partial in response:
            print(f"{partial.progress:4.0%}", partial.transcript)
        answer = await response
        print("heard:", answer.transcript)
        if answer.image:
            print("picture:", answer.image.save(picture))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
