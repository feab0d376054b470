"""The far side of the SDK's benchmarks, a process of its own: a bare echo, and a session that answers at once.

An answer is a stream of partials at a fixed pace; the text of each is when it was sent, on this machine's clock.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from omnisdk.protocol import events, wire
from omnisdk.protocol.response import Response
from omnisdk.protocol.settings import OMNI_VERSION, SessionSettings

RESPONSE_ID = "resp_1"


class FarSide:
    """partials: how many of them an answer has; per_second: their pace."""

    def __init__(self, partials: int, per_second: float) -> None:
        self._partials, self._per_second = partials, per_second

    async def session(self, socket: ServerConnection) -> None:
        if socket.request is not None and socket.request.path == "/echo":
            async for frame in socket:
                await socket.send(frame)
            return
        settings = SessionSettings()
        await socket.send(wire.encode(events.SessionCreated(event_id="event_1", session=settings)))
        async for frame in socket:
            match wire.decode_client_event(frame):
                case events.SessionUpdate():
                    await socket.send(wire.encode(events.SessionUpdated(event_id="event_2", session=settings)))
                case events.ResponseCreate(response=asked):
                    metadata = asked.metadata if asked is not None and isinstance(asked.metadata, dict) else None
                    await self._answer(socket, metadata)

    async def _answer(self, socket: ServerConnection, metadata: dict[str, str] | None) -> None:
        begun = Response(id=RESPONSE_ID, status="in_progress", output=[], output_modalities=["text"], metadata=metadata)
        await socket.send(wire.encode(events.ResponseCreated(event_id="event_3", response=begun)))
        started = time.monotonic()
        for step in range(1, self._partials + 1):
            await asyncio.sleep(max(0.0, started + step / self._per_second - time.monotonic()))
            for event in self._partial(step):
                await socket.send(wire.encode(event))
        ended = Response(id=RESPONSE_ID, status="completed", output=[], output_modalities=["text"])
        await socket.send(wire.encode(events.ResponseDone(event_id="event_4", response=ended)))

    def _partial(self, step: int) -> list[events.ServerEvent]:
        known, text = step / self._partials, str(time.monotonic_ns())
        spans = [events.Span(start=0, end=len(text), masked=False, confidence=known)]
        named: dict[str, Any] = {"event_id": "event_5", "response_id": RESPONSE_ID}
        return [
            events.OmniTextPartial(**named, slot="text", text=text, spans=spans),
            events.OmniProgress(
                **named, step=step, steps=self._partials, unmasked_ratio=known, eta_ms=0, slots={"text": known}
            ),
        ]


async def serve_forever(partials: int, per_second: float) -> None:
    far_side = FarSide(partials, per_second)
    subprotocols = [Subprotocol(OMNI_VERSION)]
    async with serve(far_side.session, "127.0.0.1", 0, subprotocols=subprotocols, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        sys.stdout.write(json.dumps({"url": f"ws://127.0.0.1:{port}"}) + "\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)  # until whoever started it closes it


if __name__ == "__main__":
    asyncio.run(serve_forever(int(sys.argv[1]), float(sys.argv[2])))
