"""An answer while it is being made and after: partials to look at, then finished parts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, Protocol, TypeVar

import numpy as np

from omnisdk.conversation import Item, PartLike, Text, ToolCall, item_from_wire, item_to_wire, new_item
from omnisdk.editing import Change, Edit, Wait
from omnisdk.errors import OmniError, ResponseFailed, ResponseUnfinished
from omnisdk.media import Image, Speech
from omnisdk.notebook import answer_html
from omnisdk.partials import Partial, fold_partial
from omnisdk.protocol import events
from omnisdk.protocol import response as wire_response
from omnisdk.protocol.changes import CanvasChange as WireChange
from omnisdk.protocol.changes import CanvasEdit, Steer
from omnisdk.protocol.limits import WIRE_SAMPLE_RATE_HZ
from omnisdk.protocol.settings import ResponseSettings
from omnisdk.structured import OutputType

Status = Literal["in_progress", "completed", "cancelled", "failed", "incomplete"]
MAX_KEPT_PREVIEWS = 31
T = TypeVar("T")


@dataclass(frozen=True)
class Timing:
    """Seconds from the end of the user's turn (the end of speech), None until it happened."""

    first_partial_s: float | None = None
    final_s: float | None = None


CanvasChange = events.OmniCanvasEdit | events.OmniResponseTune | events.OmniCanvasSteer


class ResponseLink(Protocol):
    """What a response needs of the session it belongs to."""

    def request_cancel(self, response_id: str) -> None: ...
    def request_finalize(self, response_id: str) -> None: ...
    async def change(self, event: CanvasChange) -> int: ...
    def fork(self, first: Response, seed: int | None, at_step: int | None) -> Response: ...
    def replay(self, first: Response) -> Response: ...
    def asset_url(self, url: str) -> str: ...


class Response:
    """One answer. `await response` for the finished one, `async for partial in response` to watch it form.

    A loop over partials sees the newest snapshot each time; a slow loop skips some and never lags. With the sync
    client the same object has `response.wait()` and `for partial in response`. Awaiting raises ResponseFailed if the
    server failed at it and ConnectionLost if the socket closed; a cancelled one simply has status "cancelled".
    """

    def __init__(
        self,
        link: ResponseLink,
        *,
        asked_at: float,
        run: Wait | None = None,
        form: OutputType[object] | None = None,
    ) -> None:
        self._link = link
        self._form = form
        self._asked_at = asked_at
        self._run = run  # waits for a coroutine from another thread; the sync client's
        self._waiters: list[asyncio.Future[None]] = []
        self._building = Partial()
        self._published: Partial | None = None
        self._unseen = False  # whether the one that is being built holds something that was not shown
        self._num_published = 0
        self._previews: list[Partial] = []  # how the picture formed
        self._error: OmniError | None = None
        self._wanted: list[Literal["cancel", "finalize"]] = []
        self._pictures: list[bytes | str] = []  # PNG files, or where they are
        self._texts: list[str] = []
        self._sound = bytearray()  # 16-bit little-endian PCM at the wire's rate
        self._finished = False
        self.request: events.ResponseCreate | None = None  # with which it was asked for; None of a fork
        self.made_item_ids: list[str] = []
        self.beside = False  # of the conversation
        self.id: str | None = None
        self.canvas_id: str | None = None
        self.item_id: str | None = None
        self.tool_calls: tuple[ToolCall, ...] = ()
        self.status: Status = "in_progress"
        self.reason: str | None = None
        self.usage: wire_response.Usage | None = None
        self.timing: Timing = Timing()
        self.seed: int | None = None
        self.steps: int = 0
        self.unmasked_per_step: list[int] = []
        self.num_partials: int = 0
        self._transcript: str | None = None
        self.changes: list[WireChange] = []  # all that changed its course, once it is finished
        self.steers: list[Steer] = []  # as they were asked for, their media with them
        self.asked: tuple[ResponseSettings, tuple[str, ...]] | None = None  # with which settings, of which items

    # Watching

    def __await__(self) -> Generator[object, None, Response]:
        return self._until_finished().__await__()

    async def __aiter__(self) -> AsyncIterator[Partial]:
        seen = 0
        while True:
            if self._num_published > seen and self._published is not None:
                seen = self._num_published
                yield self._published
            elif self._finished:
                break
            else:
                await self._change()
        self._raise_if_failed()

    def wait(self) -> Response:
        """The finished answer, for the sync client."""
        if self._finished and self._run is not None:  # its client may be closed by now
            self._raise_if_failed()
            return self
        return self._blocking(self._until_finished())

    def __iter__(self) -> Iterator[Partial]:
        if self._finished and self._run is not None:  # its client may be closed by now
            yield from [] if self._published is None else [self._published]
            self._raise_if_failed()
            return
        partials = aiter(self)
        while (partial := self._blocking(_next_or_none(partials))) is not None:
            yield partial

    @property
    def latest(self) -> Partial | None:
        """The newest partial, None before the first."""
        return self._published

    # Acting on it while it runs

    def fork(self, seed: int | None = None, *, at_step: int | None = None) -> Response:
        """A second answer that goes on from what this one knew after `at_step` steps, or knows now if that is None.

        It stands outside of the conversation, and what was changed after that step is undone in it. The last steps can
        be forked after the end as well, while the session is open. Raises OmniError before the first partial, and of
        a finished answer without a step.
        """
        if self.canvas_id is None or (self._finished and at_step is None):
            when = "has not begun to form; wait for a partial"
            if self._finished:
                when = "is finished; name the step to go on from: fork(at_step=...)"
            raise OmniError(f"this answer cannot be forked: it {when}")
        return self._begun(lambda: self._link.fork(self, seed, at_step))

    def replay(self) -> Response:
        """The same answer made again: the same seed, and every change after the same step. Its tokens are the same.

        It stands outside of the conversation, in the same session. Raises OmniError before the end.
        """
        if not self._finished or self.seed is None or self.asked is None:
            raise OmniError("only a finished answer that told its canvas can be replayed; await it first")
        return self._begun(lambda: self._link.replay(self))

    def _begun(self, begin: Callable[[], Response]) -> Response:
        """What `begin` gives, called on the session's own thread."""
        if self._run is None:
            return begin()

        async def on_loop() -> list[Response]:
            return [begin()]  # a response alone would be waited for

        begun: list[Response] = self._run(on_loop())
        return begun[0]

    def cancel(self) -> None:
        """Ask the server to stop. A request, not a state: the answer ends when the server says so."""
        self._ask("cancel")

    def finalize(self) -> None:
        """Ask the server to finish now with the best it has; the status becomes "incomplete", the picture is whole."""
        self._ask("finalize")

    def edit(self, *edits: Edit) -> Change:
        """Pin, mask or set parts of the answer at its next step: all of the edits or none.

        `await response.edit(...)`, or `response.edit(...).wait()` with the sync client; either tells the step.
        """
        seen = self._published.step if self._published is not None else None
        for edit in edits:
            if not isinstance(edit, Edit):
                raise OmniError(f"{edit!r} came as an edit; give Edit.pin(...), Edit.mask(...) or Edit.set(...)")
        return Change(self._edit([edit.to_wire(seen) for edit in edits]), self._blocking)

    def steer(self, *request: PartLike, bound: float | None = None, opened: Sequence[Edit] | None = None) -> Change:
        """Ask for something else on the way: "draw a cat on a green background". As `edit`.

        What the new request makes no less likely stays, by `bound`, its share of the old likelihood; the rest is made
        anew. opened: or exactly what these edits mask. Words alone leave speech and pictures of the request as they
        are; anything else is the whole turn anew, of the same kinds.
        """
        words = request[0] if len(request) == 1 and isinstance(request[0], str) else None
        steer = (
            Steer(instructions=words) if words is not None else Steer(input=[item_to_wire(new_item("user", *request))])
        )
        if bound is not None:
            steer.bound = bound
        if opened is not None:
            seen = self._published.step if self._published is not None else None
            steer.opened = [edit.to_wire_place(seen) for edit in opened]
        return Change(self._steer(steer), self._blocking)

    def tune(self, *, steps_left: int | None = None, temperature: float | None = None) -> Change:
        """Give all that is still open so many steps, or another temperature, from the next step on. As `edit`."""
        return Change(self._tune(steps_left, temperature), self._blocking)

    # Finished parts

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop and has not yet."""
        return bool(self._wanted) and not self._finished

    @property
    def finished(self) -> bool:
        """Whether it has ended, however it did."""
        return self._finished

    @property
    def text(self) -> str:
        """What the model says; of a spoken answer its transcript."""
        return "".join(self._done(self._texts))

    @cached_property
    def output(self) -> object:
        """What an answer that was asked for as a type says, of that type; None of any other answer.

        Raises ResponseFailed if it ended before it was filled, OutputError if the type's own validators refuse it.
        """
        if self._form is None:
            return None
        arguments = self._done(self.tool_calls)[0].arguments if self.tool_calls else ""
        if not arguments:
            raise ResponseFailed(f"the answer ended {self.status} before it was filled in; ask again")
        return self._form.read(arguments)

    @cached_property
    def speech(self) -> Speech | None:
        """What the model says aloud, at 24 kHz with its words as transcript; None if the answer holds no speech."""
        samples = np.frombuffer(bytes(self._done(self._sound)), "<i2").astype(np.int16)
        return Speech.said(samples, WIRE_SAMPLE_RATE_HZ, self.text or None) if len(samples) else None

    @property
    def transcript(self) -> str | None:
        """What the model heard the user say; None if the turn held no speech."""
        return self._done(self._transcript)

    @cached_property
    def images(self) -> list[Image]:
        """The pictures of the answer; one too large for the socket is fetched when first asked for."""
        return [Image(picture) for picture in self._done(self._pictures)]

    @property
    def image(self) -> Image | None:
        """The first picture of the answer, None if it holds none."""
        return self.images[0] if self.images else None

    @property
    def frames(self) -> list[Image]:
        """The first picture as it was unmasked, at most 32 states of it, with the finished one at the end."""
        forming = [partial.image for partial in self._previews if partial.image is not None]
        done = [self.image] if self._finished and self.image is not None else []
        return [*forming, *done]

    @property
    def item(self) -> Item:
        """The answer as an item of a conversation."""
        words = (Text(self.text),) if self.text else ()
        said = words if self.speech is None else (self.speech,)
        status: Literal["completed", "incomplete"] = "completed" if self.status == "completed" else "incomplete"
        parts = (*said, *self.images, *self.tool_calls)
        return Item(self.item_id or f"item_of_{self.id}", "assistant", parts, status)

    def __repr__(self) -> str:
        if not self._finished:
            return f"Response(status='in_progress', {self._published or 'no partial yet'})"
        parts = [f"text={self.text!r}"] if self.text else []
        parts += [f"calls {call}" for call in self.tool_calls]
        parts += [f"speech={self.speech}"] if self.speech is not None else []
        parts += [f"image={self.image}"] if self._pictures else []
        parts += [f"transcript={self._transcript!r}"] if self._transcript is not None else []
        return f"Response(status={self.status!r}, {', '.join(parts) or 'empty'})"

    def _repr_mimebundle_(self, **_: object) -> dict[str, object]:
        shown: dict[str, object] = {"text/plain": repr(self)}
        if self._finished and self.image is not None:
            shown["image/png"] = self.image.png
        done = self._finished
        html = answer_html(self.frames, self.speech if done else None, self.text if done else "")
        return {**shown, "text/html": html} if html else shown

    async def _edit(self, edits: list[CanvasEdit]) -> int:
        return await self._link.change(events.OmniCanvasEdit(canvas_id=await self._canvas(), edits=edits))

    async def _steer(self, steer: Steer) -> int:
        step = await self._link.change(events.OmniCanvasSteer(canvas_id=await self._canvas(), steer=steer))
        self.steers.append(steer)
        return step

    async def _tune(self, steps_left: int | None, temperature: float | None) -> int:
        await self._canvas()
        assert self.id is not None
        return await self._link.change(
            events.OmniResponseTune(response_id=self.id, steps_left=steps_left, temperature=temperature)
        )

    async def _canvas(self) -> str:
        """The id of the canvas, as soon as there is one."""
        while self.canvas_id is None and not self._finished:
            await self._change()
        self._raise_if_failed()
        if self.canvas_id is None or self._finished:
            raise OmniError("the answer is finished; what is finished cannot be changed: ask for another one")
        return self.canvas_id

    # Fed by the session

    def feed(self, event: events.ServerEvent) -> None:
        """Take one server event that belongs to this response."""
        self._fold(event)
        match event:
            case events.ResponseCreated():
                self._begin(event.response.id)
            case events.ResponseOutputItemAdded():
                self.made_item_ids.append(str(event.item.id))
            case events.OmniCanvasCreated():
                self.seed, self.steps, self.canvas_id = event.seed, event.steps, event.canvas_id
                self._wake()
            case events.OmniImageDone():
                self._pictures.append(event.b64 or self._link.asset_url(event.image.url))
            case events.ResponseOutputAudioDelta():
                self._sound += event.delta
            case events.ConversationItemInputAudioTranscriptionCompleted():
                self._transcript = event.transcript
            case events.OmniCanvasDone():
                self.seed, self.steps = event.seed, event.steps
                self.changes = list(event.changes)
                self.unmasked_per_step = list(event.unmasked_per_step)
            case events.ResponseDone():
                self._finish(event.response)

    def fail(self, error: OmniError) -> None:
        """End it with an error that everyone who waits for it gets."""
        if not self._finished:
            self.status = "failed"
            self._error = error
            self._end()

    def begin_anew(self) -> None:
        """It is asked for again: what had come of it is forgotten, partials begin from nothing."""
        self._building, self._unseen = Partial(), False
        self._pictures.clear()
        self._sound.clear()
        self.made_item_ids.clear()
        self.id = self.canvas_id = None

    def give_up(self) -> None:
        """It was to stop, and nobody is left to say that it has."""
        self.status, self.reason = "cancelled", "connection_lost"
        self._end()

    def _begin(self, response_id: str) -> None:
        self.id = response_id
        for request in self._wanted:
            self._send(request)

    def _fold(self, event: events.ServerEvent) -> None:
        """Into the partial that is being built; it is shown when a group of events is whole, or another begins."""
        before, self._building = self._building, fold_partial(self._building, event)
        if self._building is before or isinstance(event, events.OmniCanvasCreated):
            return
        if self._building.step != before.step and self._unseen:
            self._publish(before)
        heard = isinstance(event, events.ResponseOutputAudioDelta)
        if isinstance(event, events.OmniProgress) or (heard and self._published is not None):
            self._publish(self._building)
        else:
            self._unseen = self._unseen or not heard  # sound alone is no partial

    def _publish(self, partial: Partial) -> None:
        if self.timing.first_partial_s is None:
            self.timing = replace(self.timing, first_partial_s=time.monotonic() - self._asked_at)
        if partial.preview is not None and (self._published is None or partial.preview is not self._published.preview):
            self._keep_preview(partial)
        self._published, self._unseen = partial, False
        self._num_published += 1
        self.num_partials += 1
        self._wake()

    def _keep_preview(self, partial: Partial) -> None:
        if len(self._previews) >= MAX_KEPT_PREVIEWS:
            del self._previews[1::2]
        self._previews.append(partial)

    def _finish(self, ended: wire_response.Response) -> None:
        if self._unseen:
            self._publish(self._building)
        self.status = ended.status
        self.usage = ended.usage
        items = [item_from_wire(item) for item in ended.output]
        self.item_id = items[0].id if items else None
        self.tool_calls = tuple(part for item in items for part in item.parts if isinstance(part, ToolCall))
        self._texts = [part.text for item in items for part in item.parts if isinstance(part, Text)]
        self.reason = _reason(ended)
        if ended.status == "failed":
            self._error = _failure(ended)
        self._end()

    def _end(self) -> None:
        self._finished = True
        self.timing = replace(self.timing, final_s=time.monotonic() - self._asked_at)
        self._wake()

    # Waiting

    async def _until_finished(self) -> Response:
        while not self._finished:
            await self._change()
        self._raise_if_failed()
        return self

    def _change(self) -> asyncio.Future[None]:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        return waiter

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _raise_if_failed(self) -> None:
        if self._error is not None:
            raise self._error

    def _blocking(self, coroutine: Coroutine[object, object, T]) -> T:
        if self._run is None:
            coroutine.close()
            raise OmniError("this response belongs to an AsyncClient; use `await response` and `async for`")
        return self._run(coroutine)

    def _done(self, part: T) -> T:
        if not self._finished:
            raise ResponseUnfinished("the answer is still being made; await it first, or look at its partials")
        return part

    def _ask(self, request: Literal["cancel", "finalize"]) -> None:
        if self._finished:
            return
        if self._run is None:
            self.note(request)
        else:
            self._run(self._note_on_loop(request))

    async def _note_on_loop(self, request: Literal["cancel", "finalize"]) -> None:
        self.note(request)

    def note(self, request: Literal["cancel", "finalize"]) -> None:
        """Take note of what is asked of it, on the session's own thread."""
        if self._finished or request in self._wanted:
            return
        self._wanted.append(request)  # kept until the server has named the response
        if self.id is not None:
            self._send(request)

    def _send(self, request: Literal["cancel", "finalize"]) -> None:
        assert self.id is not None
        if request == "cancel":
            self._link.request_cancel(self.id)
        else:
            self._link.request_finalize(self.id)


def _reason(ended: wire_response.Response) -> str | None:
    """Why it ended early: "finalized", "deadline", "max_output_tokens", "client_cancelled", ..."""
    if isinstance(ended.omni, wire_response.ResponseOmni) and ended.omni.reason:
        return ended.omni.reason
    return ended.status_details.reason if ended.status_details else None


def _failure(ended: wire_response.Response) -> ResponseFailed:
    cause = ended.status_details.error if ended.status_details else None
    message = (
        cause.message if cause and cause.message else "the server failed at the answer and gave no reason; ask again"
    )
    return ResponseFailed(message, code=cause.code if cause else None)


async def _next_or_none(partials: AsyncIterator[Partial]) -> Partial | None:
    return await anext(partials, None)
