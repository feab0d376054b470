"""Whatever fits the schema, said to a whole session with a real engine: it is done or refused in words, and no more.

Ids, slots and media are mostly such as there are, so that what is said comes to something.
"""

import asyncio
import base64
import io
import json
from collections.abc import Coroutine
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

from omnisdk.protocol import errors
from omnisdk.protocol.documents.catalogue import Event, events
from omnisdk.protocol.documents.schemas import schema_document
from omnisdk.protocol.wire import encode
from runtime.cli import card_of
from runtime.engine.denoising import DenoisingEngine
from runtime.engine.model import OmniModel
from runtime.executors.in_process import InProcessExecutor
from runtime.server.accounts import Accounts
from runtime.server.assets import AssetStore
from runtime.server.dialect import OwnWords
from runtime.server.keys import Limits
from runtime.server.outbox import Outbox
from runtime.server.session import RealtimeSession
from tests.support.from_schema import from_schema
from tests.support.speaking_model import speaking_model
from tests.support.wire_client import Event as Told
from tests.support.wire_client import text_item

DEFINITIONS = schema_document()["definitions"]
CLIENT_EVENTS = [event for event in events() if event.sender == "client" and not event.name.startswith("session.event")]
CODES = {code for code in vars(errors).values() if isinstance(code, str)}
BESIDE = {"conversation": "none", "input": [text_item("two apples")]}
SUBSTANCE: dict[str, Told] = {
    "omni.canvas.edit": {"edits": [{"action": "mask", "slot": "image", "positions": [0]}]},
    "omni.canvas.steer": {"steer": {"instructions": "two apples"}},
    "omni.response.tune": {"steps_left": 3},
    "response.create": {"response": BESIDE},
}
# Of whole sessions, so none is made shorter: that would take minutes.
FUZZED = settings(deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
WAYS = ("positions", "box", "mask_url", "span", "words", "ms")
SLOTS = ["image", "text", "speech", "transcript"]
SOUND = base64.b64encode(bytes(range(256)) * 75).decode()  # 0.4 s
NUMBERS = {"image": {"steps": 4}, "text": {"steps": 8, "commit": "schedule"}}  # long enough to be changed
BEGUN = {"output": ["image", "text"], "partials": "tokens", "generation": NUMBERS}


def png() -> str:
    file = io.BytesIO()
    Image.new("RGBA", (80, 80), (10, 200, 10, 0)).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


@cache
def model() -> OmniModel:
    return speaking_model()


class Talk:
    """A session that is opted in, an answer of it begun; everything on one thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.engine = DenoisingEngine(model(), InProcessExecutor(model().backbone, num_threads=1), start=False)
        self.outbox = Outbox(10_000)
        self.told: list[Told] = []
        self.session: RealtimeSession = self.run(self._opened())
        self.session.open()

    async def _opened(self) -> RealtimeSession:
        return RealtimeSession(
            Accounts(self.engine, (), Limits()).everybody,
            card_of(model()),
            self.outbox,
            AssetStore(2**20),
            str,
            opted_in=True,
            dialect=OwnWords(),
            on_overflow=lambda: None,
            on_socket_event=lambda _: None,
            on_opted_in=lambda: None,
        )

    def say(self, event: Told) -> None:
        self.run(self.session.receive(json.dumps(event)))
        self.turn(1)

    def turn(self, times: int) -> None:
        """Let the engine work, and read what is told."""
        for _ in range(times):
            self.engine.run_commands()
            self.engine.admit_next()
            self.engine.step()
            self.run(asyncio.sleep(0))
        while self.outbox._entries:
            self.told += [json.loads(encode(event)) for event in self.run(self.outbox.next()) or ()]

    def known(self, *fields: str) -> list[str]:
        """The newest values that were told under these names."""
        values = [event[name] for event in self.told for name in fields if isinstance(event.get(name), str)]
        return values[-3:]

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        async def until_still() -> Any:
            result = await work
            others = asyncio.all_tasks() - {asyncio.current_task()}
            if others:
                await asyncio.wait(others, timeout=0.02)
            return result

        return self.loop.run_until_complete(until_still())

    def close(self) -> None:
        async def closed() -> None:
            self.session.close()

        self.run(closed())
        self.engine.close()
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


def message_of(draw: st.DrawFn, event: Event, talk: Talk) -> Told:
    """One that fits the schema, and mostly has what makes it more than empty."""
    message = draw(from_schema(DEFINITIONS[event.described.name], DEFINITIONS))
    if draw(st.integers(0, 3)):
        for key, value in SUBSTANCE.get(event.name, {}).items():
            own = message.get(key)
            message[key] = (own or {}) | value if isinstance(value, dict) else own or value
    return fitted(draw, message, talk)  # type: ignore[no-any-return]


def fitted(draw: st.DrawFn, value: Any, talk: Talk) -> Any:
    """With things that there are where names stand for them, and places and numbers that mostly make sense."""
    if isinstance(value, list):
        return [fitted(draw, one, talk) for one in value]
    if not isinstance(value, dict):
        return value
    for ways in (WAYS, ("instructions", "input")) if draw(st.integers(0, 4)) else ():
        given_ways = [way for way in ways if value.get(way) is not None]
        kept = draw(st.sampled_from(given_ways)) if given_ways else ""
        value = {key: one for key, one in value.items() if key not in ways or key == kept}
    return {key: _fitted(draw, key, one, talk) for key, one in value.items()}


def _fitted(draw: st.DrawFn, key: str, value: Any, talk: Talk) -> Any:
    choices = {
        "canvas_id": talk.known("canvas_id"),
        "response_id": talk.known("response_id"),
        "item_id": talk.known("item_id"),
        "previous_item_id": talk.known("item_id"),
        "slot": SLOTS,
        "recipe": list(model().recipes),
        "image": [png()],
        "image_url": [png()],
        "mask_url": [png()],
        "audio": [SOUND] if isinstance(value, str) else [],
        "positions": [[0], [3, 1], list(range(16))],
        "box": [[0, 0, 40, 40], [8, 8, 9, 80]],
        "span": [[0, 1], [2, 5]],
        "words": [[0, 1]],
        "ms": [[0, 80], [40, 200]],
        "at_step": [0, 1, 2],
        "steps_left": [1, 5],
        "temperature": [0, 1.5],
    }.get(key, [])
    chosen = draw(st.sampled_from([*choices, *choices, value])) if choices else value
    return fitted(draw, chosen, talk)


@pytest.mark.parametrize("event", CLIENT_EVENTS, ids=lambda event: event.name)
def test_what_fits_the_schema_is_done_or_refused_in_words(event: Event) -> None:
    @settings(FUZZED, max_examples=6)
    @given(st.data())
    def said(data: st.DataObject) -> None:
        talk = Talk()
        try:
            talk.say({"type": "conversation.item.create", "item": text_item("draw two red apples")})
            talk.say({"type": "response.create", "response": {"omni": BEGUN}})
            talk.turn(2)
            for _ in range(3):
                talk.say(data.draw(st.composite(message_of)(event, talk)))
            talk.turn(40)
            talk.say({"type": "session.update", "session": {"type": "realtime", "instructions": "x"}})
            judge(talk)
        finally:
            talk.close()

    said()


def judge(talk: Talk) -> None:
    for event in talk.told:
        if event["type"] == "error":
            error = event["error"]
            assert error["code"] != "internal_error", error
            assert error["code"] in CODES, error
            assert len(error["message"]) > 10
        elif event["type"] == "response.done" and event["response"]["status"] == "failed":
            message = event["response"]["status_details"]["error"]["message"]
            assert "the model failed" not in message, message
            assert "could not be laid out" not in message, message
    assert [event["type"] for event in talk.told].count("session.updated") >= 1


def test_a_session_that_is_spoken_to_in_many_ways_lives_on() -> None:
    """The same, of many kinds one after the other."""

    @settings(FUZZED, max_examples=8)
    @given(st.data())
    def said(data: st.DataObject) -> None:
        talk = Talk()
        try:
            talk.say({"type": "conversation.item.create", "item": text_item("draw two red apples")})
            talk.say({"type": "response.create", "response": {"omni": BEGUN}})
            talk.turn(2)
            for _ in range(8):
                event = data.draw(st.sampled_from(CLIENT_EVENTS))
                talk.say(data.draw(st.composite(message_of)(event, talk)))
            talk.turn(40)
            talk.say({"type": "session.update", "session": {"type": "realtime", "instructions": "x"}})
            judge(talk)
        finally:
            talk.close()

    said()
