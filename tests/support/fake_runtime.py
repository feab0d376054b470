"""A server that plays the realtime protocol from literal JSON, without a model: the far side of the SDK's tests.

Its frames are written by hand from the protocol's description, not with the SDK's structs, so that a mistake in those
shows; what it is sent must pass the server's own strict reading. Also a command like the real one:
`python fake_runtime.py serve --port 0 --ready-json`.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import itertools
import json
import random
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from PIL import Image as PilImage
from PIL import ImageDraw
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from omnisdk.protocol import wire

GRID = 8
CELL = 10
HEARD = "draw two red apples"
REPLY = "two red apples on blue"
TONE = bytes(range(256)) * 100  # 0.53 s of PCM16 at 24 kHz
Json = dict[str, Any]


@dataclass
class Script:
    """How the fake behaves."""

    steps: int = 4
    step_s: float = 0.002
    api_key: str | None = None
    subprotocol: str | None = "omni.v1"
    max_speech_s: float = 20.0
    vanish_at_step: int | None = None
    fail_at_step: int | None = None
    refuse: str | None = None  # a client event type answered by an error
    name_refused_event: bool = True
    mute: str | None = None  # a client event type that is never answered
    garbage_at_step: int | None = None
    group_order: tuple[str, ...] = ("delta", "text", "image", "progress")


@dataclass
class FakeRuntime:
    """`async with FakeRuntime() as fake: fake.url`; `fake.received` holds the client's events."""

    script: Script = field(default_factory=Script)
    port: int = 0
    received: list[Json] = field(default_factory=list)
    headers: list[Json] = field(default_factory=list)
    _server: Server | None = None

    async def __aenter__(self) -> FakeRuntime:
        def choose(connection: ServerConnection, offered: Any) -> Any:
            return self.script.subprotocol if self.script.subprotocol in offered else None

        self._server = await serve(
            self._play, "127.0.0.1", self.port, select_subprotocol=choose, process_request=self._check_key
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/realtime"

    def received_of(self, kind: str) -> list[Json]:
        return [event for event in self.received if event["type"] == kind]

    def _check_key(self, connection: ServerConnection, request: Request) -> Response | None:
        self.headers.append(dict(request.headers))
        if self.script.api_key and request.headers.get("Authorization") != f"Bearer {self.script.api_key}":
            return connection.respond(401, "wrong key\n")
        return None

    async def _play(self, connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await FakeSession(connection, self.script, self.received).run()


class FakeSession:
    def __init__(self, connection: ServerConnection, script: Script, received: list[Json]) -> None:
        self.connection = connection
        self.script = script
        self.received = received
        self.opted_in = connection.subprotocol == "omni.v1"
        self.settings: Json = {"version": "omni.v1", "output": ["image", "text"], "partials": "both"}
        self.turn: list[str] = []  # kinds of the parts of the user's turn
        self.audio = bytearray()
        self.spoken_item: str | None = None
        self.answer: asyncio.Task[None] | None = None
        self.stop: str | None = None
        self.speaks = False
        self.numbers = itertools.count(1)

    async def run(self) -> None:
        await self.send("session.created", session=self.session())
        if self.opted_in:
            await self.capabilities()
        async for frame in self.connection:
            event = json.loads(frame)
            self.received.append(event)
            try:
                wire.decode_client_event(frame)
            except wire.ProtocolError as broken:
                await self.error(event, broken.code, f"the protocol does not allow this: {broken.message}")
            else:
                await self.take(event)

    async def take(self, event: Json) -> None:
        kind = event["type"]
        if kind == self.script.mute:
            return
        if kind == self.script.refuse:
            await self.error(event, "invalid_value", f"{kind} is refused here")
            return
        match kind:
            case "session.update":
                self.settings |= event["session"].get("omni") or {}
                await self.send("session.updated", session=self.session())
                if self.opted_in:
                    await self.capabilities()
            case "conversation.item.create":
                item = {"object": "realtime.item", "status": "completed", **event["item"]}
                item.setdefault("id", f"item_{next(self.numbers)}")
                self.turn += [part["type"] for part in item["content"]]
                if "input_audio" in self.turn:
                    self.spoken_item = item["id"]
                item["content"] = [
                    {name: part[name] for name in ("type", "text") if name in part} for part in item["content"]
                ]
                await self.send("conversation.item.added", item=item, previous_item_id=None)
                await self.send("conversation.item.done", item=item, previous_item_id=None)
            case "input_audio_buffer.append":
                self.audio += base64.b64decode(event["audio"])
            case "input_audio_buffer.clear":
                self.audio.clear()
                await self.send("input_audio_buffer.cleared")
            case "input_audio_buffer.commit" if not self.audio:
                await self.error(event, "input_audio_buffer_commit_empty", "the buffer is empty")
            case "input_audio_buffer.commit":
                await self.commit()
            case "response.create" if self.answer is not None and not self.answer.done():
                await self.error(event, "conversation_already_has_active_response", "an answer is being made")
            case "response.create":
                self.stop = None
                self.answer = asyncio.create_task(self.respond(event))
            case "omni.canvas.edit":
                await self.send(
                    "omni.canvas.edited", canvas_id=event["canvas_id"], response_id="resp_1", applied_at_step=2
                )
            case "omni.response.tune":
                await self.send("omni.response.tuned", response_id=event["response_id"], applied_at_step=3)
            case "response.cancel" | "omni.response.finalize":
                if self.answer is None or self.answer.done():
                    await self.error(event, "response_cancel_not_active", "Cancellation failed: no active response")
                self.stop = "cancelled" if kind == "response.cancel" else "finalized"
            case _:
                await self.error(event, "invalid_value", f"unknown event type {kind}")

    async def commit(self) -> None:
        self.audio.clear()
        self.spoken_item = f"item_{next(self.numbers)}"
        self.turn.append("input_audio")
        item = {
            "id": self.spoken_item,
            "object": "realtime.item",
            "type": "message",
            "role": "user",
            "status": "completed",
            "content": [{"type": "input_audio", "transcript": None}],
        }
        await self.send("input_audio_buffer.committed", item_id=self.spoken_item, previous_item_id=None)
        await self.send("conversation.item.added", item=item, previous_item_id=None)
        await self.send("conversation.item.done", item=item, previous_item_id=None)

    async def respond(self, request: Json) -> None:
        wanted = request.get("response") or {}
        omni = {**self.settings, **(wanted.get("omni") or {})}
        turn, self.turn = self.turn, []
        response_id, item_id = f"resp_{next(self.numbers)}", f"item_{next(self.numbers)}"
        response = {"id": response_id, "object": "realtime.response", "status": "in_progress", "output": []}
        self.speaks = "speech" in omni["output"]
        modalities = ["audio"] if self.speaks else ["text"]
        response |= {"metadata": wanted.get("metadata"), "output_modalities": modalities}
        item = {"id": item_id, "object": "realtime.item", "type": "message", "role": "assistant"}
        await self.send("response.created", response=response)
        await self.send(
            "response.output_item.added",
            response_id=response_id,
            output_index=0,
            item={**item, "status": "in_progress", "content": []},
        )
        steps = omni.get("steps") or self.script.steps
        seed = omni.get("seed") or 7
        spoken = "input_audio" in turn
        wants_image = "image" in omni["output"] and "input_image" not in turn
        order = list(range(GRID * GRID))
        random.Random(seed).shuffle(order)
        common = {"response_id": response_id, "steps": steps}
        if self.opted_in:
            slots = [{"name": "image", "modality": "image", "length": GRID * GRID, "columns": GRID, "rows": GRID}]
            slots += [{"name": "speech", "modality": "speech", "length": GRID * GRID}] if self.speaks else []
            await self.send("omni.canvas.created", canvas_id="canvas_1", seed=seed, slots=slots, **common)
        step = 0
        for step in range(1, steps + 1):
            await asyncio.sleep(self.script.step_s)
            if step == self.script.vanish_at_step:
                self.connection.transport.abort()
                return
            if step == self.script.garbage_at_step:
                await self.connection.send("{ no json")
            if step == self.script.fail_at_step:
                problem = {"type": "server_error", "code": "out_of_memory", "message": "the canvas does not fit"}
                failed = {**response, "status": "failed", "status_details": {"type": "failed", "error": problem}}
                await self.send("response.done", response=failed)
                return
            if self.stop:
                break
            if self.opted_in and omni["partials"] != "off":
                masked = set(order[GRID * GRID * step // steps :])
                await self.partials(response_id, step, steps, masked, spoken, wants_image)
        await self.finish(response, item, step, steps, seed, spoken, wants_image)

    async def partials(
        self, response_id: str, step: int, steps: int, masked: set[int], spoken: bool, wants_image: bool
    ) -> None:
        ratio = 1 - len(masked) / GRID**2
        common = {"response_id": response_id, "step": step, "steps": steps}
        mask = [int(cell in masked) for cell in range(GRID**2)]
        for kind in self.script.group_order:
            if kind == "delta":
                updates = [[cell, 11, 0.5] for cell in range(GRID**2) if not mask[cell]]
                slots = [{"name": "image", "updates": updates, "remasked": []}]
                await self.send("omni.canvas.delta", canvas_id="canvas_1", unmasked_ratio=ratio, slots=slots, **common)
            elif kind == "text":
                for slot, words in (("transcript", HEARD), ("text", REPLY)):
                    if slot == "text" or spoken:
                        known = round(len(words) * ratio)
                        spans = [
                            {"start": 0, "end": known, "masked": False, "confidence": 0.9},
                            {"start": known, "end": len(words), "masked": True, "confidence": 0.0},
                        ]
                        shown = words[:known] + "▒" * (len(words) - known)
                        await self.send(
                            "omni.text.partial", response_id=response_id, slot=slot, text=shown, spans=spans
                        )
            elif kind == "image" and wants_image:
                await self.send(
                    "omni.image.partial",
                    slot="image",
                    partial_image_index=step - 1,
                    width=GRID * CELL,
                    height=GRID * CELL,
                    mime="image/png",
                    partial_image_b64=base64.b64encode(picture(masked)).decode(),
                    rows=GRID,
                    columns=GRID,
                    mask=mask,
                    confidence=[0.0 if cell in masked else 0.75 for cell in range(GRID**2)],
                    **common,
                )
            elif kind == "progress":
                shares = {"speech": ratio} if self.speaks else {"image": ratio}
                await self.send(
                    "omni.progress", unmasked_ratio=ratio, eta_ms=(steps - step) * 2, slots=shares, **common
                )

    async def finish(
        self, response: Json, item: Json, step: int, steps: int, seed: int, spoken: bool, wants_image: bool
    ) -> None:
        response_id, item_id = response["id"], item["id"]
        if spoken and self.stop != "cancelled":
            await self.send(
                "conversation.item.input_audio_transcription.completed",
                item_id=self.spoken_item,
                content_index=0,
                transcript=HEARD,
                usage={"type": "duration", "seconds": 1.0},
            )
        if self.stop == "cancelled":
            details: Json | None = {"type": "cancelled", "reason": "client_cancelled"}
            ended = {**response, "status": "cancelled", "status_details": details}
            await self.send("response.done", response=ended)
            return
        place = {"response_id": response_id, "item_id": item_id, "output_index": 0, "content_index": 0}
        part = await (self.say(place) if self.speaks else self.write(place))
        image = {"id": "asset_1", "url": "/v1/assets/asset_1", "mime": "image/png", "width": 80, "height": 80}
        if wants_image and self.opted_in:
            b64 = base64.b64encode(picture(set())).decode()
            await self.send(
                "omni.image.done", response_id=response_id, item_id=item_id, output_index=0, image=image, b64=b64
            )
        whole = {**item, "status": "completed", "content": [part]}
        if wants_image:
            whole["omni"] = {"images": [image]}
        await self.send("response.output_item.done", response_id=response_id, output_index=0, item=whole)
        status = "incomplete" if self.stop else "completed"
        if self.opted_in:
            await self.send(
                "omni.canvas.done",
                canvas_id="canvas_1",
                response_id=response_id,
                seed=seed,
                status=status,
                steps=steps,
                unmasked_per_step=[GRID * GRID // steps] * step,
            )
        ended = {**response, "status": status, "output": [whole]}
        ended["usage"] = {
            "input_tokens": 5,
            "output_tokens": 64,
            "total_tokens": 69,
            "input_token_details": {"text_tokens": 5, "audio_tokens": 0, "image_tokens": 0, "cached_tokens": 0},
            "output_token_details": {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 64},
            "omni": {"steps": step},
        }
        if self.stop:
            ended["omni"] = {"reason": "finalized"}
        await self.send("response.done", response=ended)

    async def write(self, place: Json) -> Json:
        """A written answer; returns the part as the item holds it."""
        await self.send("response.content_part.added", part={"type": "text", "text": ""}, **place)
        await self.send("response.output_text.delta", delta=REPLY, **place)
        await self.send("response.output_text.done", text=REPLY, **place)
        await self.send("response.content_part.done", part={"type": "text", "text": REPLY}, **place)
        return {"type": "output_text", "text": REPLY}

    async def say(self, place: Json) -> Json:
        """A spoken answer in two pieces."""
        await self.send("response.content_part.added", part={"type": "audio", "transcript": ""}, **place)
        await self.send("response.output_audio_transcript.delta", delta=REPLY, **place)
        for piece in (TONE[:10_000], TONE[10_000:]):
            await self.send("response.output_audio.delta", delta=base64.b64encode(piece).decode(), **place)
        await self.send("response.output_audio.done", **place)
        await self.send("response.output_audio_transcript.done", transcript=REPLY, **place)
        await self.send("response.content_part.done", part={"type": "audio", "transcript": REPLY}, **place)
        return {"type": "output_audio", "transcript": REPLY}

    def session(self) -> Json:
        session: Json = {
            "type": "realtime",
            "id": "sess_1",
            "object": "realtime.session",
            "output_modalities": ["text"],
        }
        return session | ({"omni": self.settings} if self.opted_in else {})

    async def capabilities(self) -> None:
        await self.send(
            "omni.session.capabilities",
            version="omni.v1",
            modalities_in=["text", "speech", "image"],
            modalities_out=["text", "image", "speech"],
            image={"width": 80, "height": 80, "columns": GRID, "rows": GRID},
            speech_in={"sample_rate_hz": 16000, "max_seconds": self.script.max_speech_s},
            recipes=["speech_to_image", "text_to_image"],
            limits={"max_image_bytes": 1, "max_image_pixels": 1, "max_frame_bytes": 1, "max_steps": 100},
        )

    async def error(self, event: Json, code: str, message: str) -> None:
        named = event.get("event_id") if self.script.name_refused_event else None
        told = {"type": "invalid_request_error", "code": code, "message": message, "param": "type", "event_id": named}
        await self.send("error", error=told)

    async def send(self, kind: str, **fields: Any) -> None:
        await self.connection.send(json.dumps({"type": kind, "event_id": f"event_{next(self.numbers)}", **fields}))


def picture(masked: set[int]) -> bytes:
    """Two red discs on blue; masked cells are grey."""
    image = PilImage.new("RGB", (GRID * CELL, GRID * CELL), (40, 80, 200))
    brush = ImageDraw.Draw(image)
    for left in (6, 44):
        brush.ellipse((left, 24, left + 30, 54), fill=(210, 30, 40))
    for cell in masked:
        top, left = cell // GRID * CELL, cell % GRID * CELL
        brush.rectangle((left, top, left + CELL - 1, top + CELL - 1), fill=(128, 128, 128))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


async def serve_forever(port: int, script: Script) -> None:
    async with FakeRuntime(script, port=port) as fake:
        print(json.dumps({"url": fake.url}), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ready-json", action="store_true")
    parser.add_argument("--vanish-at-step", type=int)
    parser.add_argument("--step-s", type=float, default=Script.step_s)
    arguments = parser.parse_args()
    try:
        script = Script(vanish_at_step=arguments.vanish_at_step, step_s=arguments.step_s)
        asyncio.run(serve_forever(arguments.port, script))
    except OSError as error:
        sys.exit(f"port {arguments.port} is in use ({error.strerror}); choose another with --port")
