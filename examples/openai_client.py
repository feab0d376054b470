"""The stock OpenAI client against this server: text in, text out. Needs `pip install 'openai[realtime]'`."""

from __future__ import annotations

import asyncio
import sys

from openai import AsyncOpenAI


async def main(url: str = "http://127.0.0.1:8765", words: str = "draw a pizza on a blue background") -> None:
    client = AsyncOpenAI(base_url=f"{url}/v1", websocket_base_url=f"{url.replace('http', 'ws', 1)}/v1", api_key="none")
    async with client.realtime.connect(model="omni") as connection:
        await connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
        await connection.conversation.item.create(
            item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": words}]}
        )
        await connection.response.create(response={"metadata": {"omni_output": "text"}})
        async for event in connection:
            if event.type == "response.output_text.done":
                print(event.text)
            elif event.type == "error":
                raise SystemExit(event.error.message)
            elif event.type == "response.done":
                break
    await client.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
