"""A client and a whole session with a slow wire between them: what either says comes late, in any mixture.

The session is the server's own; its engine makes an output only when the machine says so. The client acts on what it
was told so far, which may be stale. When everything has come, both agree on the conversation, and every response has
ended.
"""

import asyncio
import base64
import itertools
import json
from collections import deque
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from omnisdk.conversation import Conversation, reduce
from omnisdk.protocol import events, wire
from runtime.engine.changes import Change
from runtime.engine.engine import Reply, Sink, Told
from runtime.engine.output import Finished, StepOutput, Usage
from runtime.engine.request import GenerationRequest
from runtime.server.accounts import Accounts
from runtime.server.assets import AssetStore
from runtime.server.dialect import OwnWords
from runtime.server.keys import Limits
from runtime.server.outbox import Outbox
from runtime.server.session import RealtimeSession
from tests.support.live_server import SPEAKING_MODEL
from tests.support.scripted_engine import ScriptedEngine, shown
from tests.support.wire_client import text_item

RATE_HZ = 24_000
TOOL = {
    "type": "function",
    "name": "stop",
    "parameters": {"type": "object", "properties": {"room": {"type": "string"}}},
}
VAD = {"type": "server_vad", "silence_duration_ms": 200, "prefix_padding_ms": 100}
# What may be told to a client that acts on what is no longer so, and nothing else.
LATE = {
    "conversation_already_has_active_response",
    "response_cancel_not_active",
    "response_finalize_not_active",
    "item_delete_invalid_item_id",
    "item_retrieve_invalid_item_id",
    "item_truncate_invalid_item_id",
    "item_create_invalid_previous_item_id",
    "item_create_unknown_call_id",
    "input_audio_buffer_commit_empty",
    "conversation_has_no_user_item",
    "too_many_responses",
    "canvas_edit_not_active",
    "canvas_edit_refused",
    "canvas_steer_refused",
    "canvas_fork_refused",
    "response_tune_not_active",
    "response_tune_refused",
    "invalid_value",  # of a reference to an item that is gone, or of a place told as final meanwhile
}
# What answers the events that are answered one by one, where they are not refused.
ANSWERS = {
    "conversation.item.deleted": "conversation.item.delete",
    "conversation.item.retrieved": "conversation.item.retrieve",
    "conversation.item.truncated": "conversation.item.truncate",
    "omni.canvas.edited": "omni.canvas.edit",
    "omni.canvas.steered": "omni.canvas.steer",
    "omni.response.tuned": "omni.response.tune",
}


class SteppedEngine(ScriptedEngine):
    """Makes an output of a request, and a change of it, only when it is told to."""

    def __init__(self) -> None:
        super().__init__(texts={"transcript": "a red ball", "text": "here it is", "arguments.room": "hall"})
        self.waiting: dict[str, tuple[GenerationRequest, Sink, list[int]]] = {}
        self.changes: deque[tuple[str, Told]] = deque()

    def submit(self, request: GenerationRequest, sink: Sink) -> None:
        self.submitted.append(request)
        self.waiting[request.request_id] = (request, sink, [0])

    def change(self, request_id: str, change: Change, told: Told) -> None:
        self.changes.append((request_id, told))

    def make_changes(self) -> None:
        while self.changes:
            request_id, told = self.changes.popleft()
            made = self.waiting.get(request_id, (None, None, [0]))[2][0]
            told(Reply(request_id, made, None if request_id in self.waiting else "it is finished"))

    def fork(self, request_id: str, new_id: str, seed: int, sink: Sink, at_step: int | None = None) -> None:
        parent = next((request for request in self.submitted if request.request_id == request_id), None)
        if parent is None:
            sink(Finished(new_id, "failed", (), Usage(), 0, error="it was never begun"))
        else:
            self.submit(replace(parent, request_id=new_id, seed=seed), sink)

    def advance(self, request_id: str) -> None:
        """Its beginning, a step or its end."""
        request, sink, made = self.waiting[request_id]
        slots = self.slots_of(request)
        ends = made[0] > self.num_steps or self.asked_to_end(request_id)
        if made[0] == 0 and not self.asked_to_end(request_id):
            sink(self.started(request, slots))
        elif ends:
            del self.waiting[request_id]
            sink(self.finished(request, slots, made[0]))
        else:
            ratio = made[0] / self.num_steps
            now = tuple(shown(slot, ratio) for slot in slots)
            sink(StepOutput(request_id, made[0], self.num_steps, ratio, 1.0, now))
        made[0] += 1


def loud(window: np.ndarray) -> float:
    return float(np.abs(window).max() > 0.1)


class LateDelivery(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.detector = mock.patch("runtime.server.turn_detector.silero", return_value=loud)
        self.detector.start()
        self.engine = SteppedEngine()
        self.outbox = Outbox(10_000)
        self.to_server: deque[str] = deque()
        self.to_client: deque[str] = deque()
        self.numbers = itertools.count(1)
        # What the client knows.
        self.chat = Conversation()
        self.order: list[str] = []
        self.spoken: list[str] = []
        self.calls: list[str] = []
        self.created: list[str] = []
        self.canvases: list[tuple[str, str]] = []  # with their responses
        self.done: dict[str, str] = {}
        self.asked: dict[str, str] = {}  # events that are answered one by one, by their ids
        self.session: RealtimeSession

    @initialize(opted_in=st.booleans(), answering=st.booleans())
    def connect(self, opted_in: bool, answering: bool) -> None:
        async def opened() -> RealtimeSession:
            return RealtimeSession(
                Accounts(self.engine, (), Limits()).everybody,
                SPEAKING_MODEL,
                self.outbox,
                AssetStore(2**20),
                str,
                opted_in=opted_in,
                dialect=OwnWords(),
                on_overflow=lambda: None,
                on_socket_event=lambda _: None,
                on_opted_in=lambda: None,
            )

        self.session = self.run(opened())
        self.session.open()
        if answering:
            self.send({"type": "conversation.item.create", "item": text_item("good morning")})
            self.send({"type": "response.create"})
            self.all_that_was_said_is_heard()
            self.engine.advance(next(iter(self.engine.waiting)))
            self.run(asyncio.sleep(0))
            self.all_that_was_said_is_heard()

    # The client, by what it was told

    @rule(data=st.data())
    def says(self, data: st.DataObject) -> None:
        previous = data.draw(st.sampled_from([None, None, "root", *self.order, "item_of_nobody"]))
        self.send({"type": "conversation.item.create", "item": text_item("good morning"), "previous_item_id": previous})

    @rule(seconds=st.sampled_from([0.02, 0.2, 0.5]), voice=st.booleans())
    def speaks(self, seconds: float, voice: bool) -> None:
        time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
        pcm = (voice * 12_000 * np.sin(2 * np.pi * 200 * time)).astype("<i2")
        self.send({"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm.tobytes()).decode()})

    @rule(kind=st.sampled_from(["commit", "commit", "clear"]))
    def ends_a_turn(self, kind: str) -> None:
        self.send({"type": f"input_audio_buffer.{kind}"})

    @rule(
        detection=st.sampled_from([None, VAD, {**VAD, "interrupt_response": False}, {**VAD, "create_response": False}])
    )
    def says_who_ends_turns(self, detection: dict[str, object] | None) -> None:
        self.send({"type": "session.update", "session": {"audio": {"input": {"turn_detection": detection}}}})

    @rule(
        data=st.data(),
        modality=st.sampled_from(["text", "audio"]),
        side=st.booleans(),
        calls=st.booleans(),
    )
    def asks(self, data: st.DataObject, modality: str, side: bool, calls: bool) -> None:
        response: dict[str, Any] = {"output_modalities": [modality]}
        if calls:
            response |= {"tools": [TOOL], "tool_choice": "required"}
        if side:
            referred = data.draw(st.lists(st.sampled_from(self.order), max_size=2)) if self.order else []
            references = [{"type": "item_reference", "id": item_id} for item_id in referred]
            response |= {"conversation": "none", "input": [*references, text_item("and now?")]}
        self.send({"type": "response.create", "response": response})

    @rule(data=st.data(), finalizes=st.booleans())
    def stops(self, data: st.DataObject, finalizes: bool) -> None:
        response_id = data.draw(st.sampled_from([None, *self.created]))
        if finalizes and response_id is not None:
            self.send({"type": "omni.response.finalize", "response_id": response_id})
        else:
            self.send({"type": "response.cancel", "response_id": response_id})

    @precondition(lambda self: self.canvases)
    @rule(data=st.data(), kind=st.sampled_from(["edit", "tune", "steer", "fork"]), step=st.integers(0, 5))
    def changes_an_answer(self, data: st.DataObject, kind: str, step: int) -> None:
        canvas_id, response_id = data.draw(st.sampled_from([*self.canvases, ("canvas_of_nobody", "resp_of_nobody")]))
        slot = data.draw(st.sampled_from(["text", "speech", "image"]))
        mask = {"action": "mask", "slot": slot, "positions": [step]}
        wanted: dict[str, dict[str, object]] = {
            "edit": {"type": "omni.canvas.edit", "canvas_id": canvas_id, "edits": [mask]},
            "tune": {"type": "omni.response.tune", "response_id": response_id, "steps_left": 2},
            "steer": {"type": "omni.canvas.steer", "canvas_id": canvas_id, "steer": {"instructions": "good night"}},
            "fork": {"type": "omni.canvas.fork", "canvas_id": canvas_id, "at_step": step or None},
        }
        self.send(wanted[kind])

    @rule(data=st.data(), kind=st.sampled_from(["delete", "retrieve"]))
    def names_an_item(self, data: st.DataObject, kind: str) -> None:
        item_id = data.draw(st.sampled_from([*self.order, "item_of_nobody"]))
        self.send({"type": f"conversation.item.{kind}", "item_id": item_id})

    @rule(data=st.data(), heard_ms=st.integers(0, 1_000))
    def truncates(self, data: st.DataObject, heard_ms: int) -> None:
        item_id = data.draw(st.sampled_from([*self.spoken, "item_of_nobody"]))
        place = {"item_id": item_id, "content_index": 0, "audio_end_ms": heard_ms}
        self.send({"type": "conversation.item.truncate", **place})

    @rule(data=st.data())
    def tells_what_a_function_gave(self, data: st.DataObject) -> None:
        call_id = data.draw(st.sampled_from([*self.calls, "call_of_nobody"]))
        item = {"type": "function_call_output", "call_id": call_id, "output": "stopped"}
        self.send({"type": "conversation.item.create", "item": item})

    # The wire and the engine, when they please

    @rule(count=st.integers(1, 4))
    def the_server_reads(self, count: int) -> None:
        for _ in range(min(count, len(self.to_server))):
            self.run(self.session.receive(self.to_server.popleft()))

    @rule(count=st.integers(1, 6))
    def the_server_sends(self, count: int) -> None:
        for _ in range(count):
            self.run(self.send_next())

    @rule(count=st.integers(1, 10))
    def the_client_reads(self, count: int) -> None:
        for _ in range(min(count, len(self.to_client))):
            self.read(self.to_client.popleft())

    @rule()
    def all_that_was_said_is_heard(self) -> None:
        self.the_server_reads(len(self.to_server))
        self.the_server_sends(1 + len(self.outbox._entries))
        self.the_client_reads(len(self.to_client))

    @rule()
    def the_engine_makes_changes(self) -> None:
        self.engine.make_changes()
        self.run(asyncio.sleep(0))

    @rule(data=st.data(), count=st.integers(1, 3))
    def the_engine_works(self, data: st.DataObject, count: int) -> None:
        for _ in range(count):
            if self.engine.waiting:
                self.engine.advance(data.draw(st.sampled_from(list(self.engine.waiting))))
                self.run(asyncio.sleep(0))

    # The end

    def teardown(self) -> None:
        try:
            if hasattr(self, "session"):
                self.all_comes_through()
                self.both_agree()
        finally:
            self.detector.stop()
            if hasattr(self, "session"):
                self.run(self.closed())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()

    async def closed(self) -> None:
        self.session.close()

    def all_comes_through(self) -> None:
        while self.to_server or self.to_client or self.engine.waiting or self.engine.changes or self.outbox._entries:
            self.the_server_reads(len(self.to_server))
            self.the_engine_makes_changes()
            for request_id in list(self.engine.waiting):
                self.engine.advance(request_id)
            self.the_server_sends(1 + len(self.outbox._entries))
            self.the_client_reads(len(self.to_client))

    def both_agree(self) -> None:
        rules = self.session._rules
        assert not self.asked, "an event was neither answered nor refused"
        assert set(self.created) == set(self.done), "a response was begun and not ended, or twice"
        assert (rules.responses.active_id, rules.responses.side_ids) == (None, set())
        held = [str(item.id) for item in rules.conversation.items]
        assert self.order == held
        assert {item.id for item in self.chat.items if item.id in held} == set(held)
        assert set(self.session._parts) <= set(held), "something is kept of items that are gone"

    # How it is done

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        async def until_still() -> Any:
            result = await work
            for _ in range(5):
                await asyncio.sleep(0)
            while painting := self.session._responses._bridge._painting if hasattr(self, "session") else ():
                await asyncio.wait(painting)
                await asyncio.sleep(0)
            return result

        return self.loop.run_until_complete(until_still())

    def send(self, event: dict[str, object]) -> None:
        event_id = f"mine_{next(self.numbers)}"
        kind = str(event["type"])
        if kind in ANSWERS.values():
            self.asked[event_id] = kind
        self.to_server.append(json.dumps({"event_id": event_id, **event}))

    async def send_next(self) -> None:
        if self.outbox._entries:
            self.to_client.extend(map(wire.encode, await self.outbox.next() or ()))

    def read(self, frame: str) -> None:
        event = wire.decode_server_event(frame)
        self.chat = reduce(self.chat, event)
        match event:
            case events.Error():
                assert event.error.code in LATE, event.error
                self.asked.pop(str(event.error.event_id), None)
            case events.ConversationItemAdded():
                place = 0 if event.previous_item_id is None else self.order.index(event.previous_item_id) + 1
                self.order.insert(place, str(event.item.id))
            case events.ConversationItemDeleted():
                self.order.remove(event.item_id)
            case events.ResponseCreated():
                assert event.response.id not in self.created
                self.created.append(event.response.id)
            case events.OmniCanvasCreated():
                self.canvases.append((event.canvas_id, event.response_id))
            case events.ResponseOutputAudioDelta() if event.item_id not in self.spoken:
                self.spoken.append(event.item_id)
            case events.ResponseFunctionCallArgumentsDone():
                self.calls.append(event.call_id)
            case events.ResponseDone():
                assert event.response.id not in self.done
                self.done[event.response.id] = event.response.status
        kind = json.loads(frame)["type"]
        if kind in ANSWERS:
            self.forget_one(ANSWERS[kind])
        response_id = getattr(event, "response_id", None)
        if response_id is not None:
            assert response_id in self.created, "before it was begun"
            late = isinstance(event, events.OmniCanvasEdited | events.OmniCanvasSteered | events.OmniResponseTuned)
            assert late or response_id not in self.done, "after its end"

    def forget_one(self, kind: str) -> None:
        """The first event of this kind is answered."""
        del self.asked[next(event_id for event_id, asked in self.asked.items() if asked == kind)]


LateDelivery.TestCase.settings = settings(deadline=None, max_examples=25, stateful_step_count=40)
TestLateDelivery = LateDelivery.TestCase
