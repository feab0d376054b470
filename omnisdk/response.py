"""An answer while it is being made and after: partials to look at, then finished parts."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol, TypeVar

from omnisdk.answer_parts import AnswerParts
from omnisdk.conversation import Item, PartLike, ToolCall, item_to_wire, new_item
from omnisdk.editing import Change, Edit, Wait
from omnisdk.errors import OmniError, ResponseFailed, ResponseUnfinished
from omnisdk.forming import Forming
from omnisdk.media import Image, Speech
from omnisdk.notebook import answer_html
from omnisdk.partials import Partial
from omnisdk.protocol import events
from omnisdk.protocol import response as wire_response
from omnisdk.protocol.changes import CanvasChange as WireChange
from omnisdk.protocol.changes import CanvasEdit, Steer
from omnisdk.protocol.settings import ResponseSettings
from omnisdk.structured import OutputType

Status = Literal["in_progress", "completed", "cancelled", "failed", "incomplete"]
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
        self._ended_at: float | None = None
        self._run = run  # waits for a coroutine from another thread; the sync client's
        self._forming = Forming()
        self._parts = AnswerParts(link.asset_url)
        self._error: OmniError | None = None
        self._wanted: list[Literal["cancel", "finalize"]] = []
        self.request: events.ResponseCreate | None = None  # with which it was asked for; None of a fork
        self.made_item_ids: list[str] = []
        self.beside = False  # of the conversation
        self.id: str | None = None
        self.canvas_id: str | None = None
        self.status: Status = "in_progress"
        self.reason: str | None = None
        self.usage: wire_response.Usage | None = None
        self.seed: int | None = None
        self.steps: int = 0
        self.unmasked_per_step: list[int] = []
        self.changes: list[WireChange] = []  # all that changed its course, once it is finished
        self.steers: list[Steer] = []  # as they were asked for, their media with them
        self.asked: tuple[ResponseSettings, tuple[str, ...]] | None = None  # with which settings, of which items

    # Watching

    def __await__(self) -> Generator[object, None, Response]:
        return self._until_finished().__await__()

    async def __aiter__(self) -> AsyncIterator[Partial]:
        async for partial in self._forming.partials():
            yield partial
        self._raise_if_failed()

    def wait(self) -> Response:
        """The finished answer, for the sync client."""
        if self.finished:  # nothing is waited for, and its client may be closed by now
            self._raise_if_failed()
            return self
        return self._blocking(self._until_finished())

    def __iter__(self) -> Iterator[Partial]:
        if self.finished:  # nothing is waited for, and its client may be closed by now
            yield from [] if self.latest is None else [self.latest]
            self._raise_if_failed()
            return
        partials = aiter(self)
        while (partial := self._blocking(_next_or_none(partials))) is not None:
            yield partial

    @property
    def latest(self) -> Partial | None:
        """The newest partial, None before the first."""
        return self._forming.newest

    @property
    def num_partials(self) -> int:
        """How many there were; a slow loop has not seen them all."""
        return self._forming.num_shown

    @property
    def timing(self) -> Timing:
        """When it began to form, and when it had ended."""
        times = (None if at is None else at - self._asked_at for at in (self._forming.first_at, self._ended_at))
        return Timing(*times)

    # Acting on it while it runs

    def fork(self, seed: int | None = None, *, at_step: int | None = None) -> Response:
        """A second answer that goes on from what this one knew after `at_step` steps, or knows now if that is None.

        It stands outside of the conversation, and what was changed after that step is undone in it. The last steps can
        be forked after the end as well, while the session is open. Raises OmniError before the first partial, and of
        a finished answer without a step.
        """
        if self.canvas_id is None or (self.finished and at_step is None):
            when = "has not begun to form; wait for a partial"
            if self.finished:
                when = "is finished; name the step to go on from: fork(at_step=...)"
            raise OmniError(f"this answer cannot be forked: it {when}")
        return self._begun(lambda: self._link.fork(self, seed, at_step))

    def replay(self) -> Response:
        """The same answer made again: the same seed, and every change after the same step. Its tokens are the same.

        It stands outside of the conversation, in the same session. Raises OmniError before the end.
        """
        if not self.finished or self.seed is None or self.asked is None:
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
        seen = self.latest.step if self.latest is not None else None
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
            seen = self.latest.step if self.latest is not None else None
            steer.opened = [edit.to_wire_place(seen) for edit in opened]
        return Change(self._steer(steer), self._blocking)

    def tune(self, *, steps_left: int | None = None, temperature: float | None = None) -> Change:
        """Give all that is still open so many steps, or another temperature, from the next step on. As `edit`."""
        return Change(self._tune(steps_left, temperature), self._blocking)

    # Finished parts

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop and has not yet."""
        return bool(self._wanted) and not self.finished

    @property
    def finished(self) -> bool:
        """Whether it has ended, however it did."""
        return self._forming.ended

    @property
    def item_id(self) -> str | None:
        """Of its item in the conversation, None before the end."""
        return self._parts.item_id

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tools that the model asks for; none before the end."""
        return self._parts.tool_calls

    @property
    def text(self) -> str:
        """What the model says; of a spoken answer its transcript."""
        return self._done().text

    @cached_property
    def output(self) -> object:
        """What an answer that was asked for as a type says, of that type; None of any other answer.

        Raises ResponseFailed if it ended before it was filled, OutputError if the type's own validators refuse it.
        """
        if self._form is None:
            return None
        calls = self._done().tool_calls
        arguments = calls[0].arguments if calls else ""
        if not arguments:
            raise ResponseFailed(f"the answer ended {self.status} before it was filled in; ask again")
        return self._form.read(arguments)

    @property
    def speech(self) -> Speech | None:
        """What the model says aloud, at 24 kHz with its words as transcript; None if the answer holds no speech."""
        return self._done().speech

    @property
    def transcript(self) -> str | None:
        """What the model heard the user say; None if the turn held no speech."""
        return self._done().transcript

    @property
    def images(self) -> list[Image]:
        """The pictures of the answer; one too large for the socket is fetched when first asked for."""
        return self._done().images

    @property
    def image(self) -> Image | None:
        """The first picture of the answer, None if it holds none."""
        return self.images[0] if self.images else None

    @property
    def frames(self) -> list[Image]:
        """The first picture as it was unmasked, at most 32 states of it, with the finished one at the end."""
        forming = [partial.image for partial in self._forming.previews if partial.image is not None]
        done = [self.image] if self.finished and self.image is not None else []
        return [*forming, *done]

    @property
    def item(self) -> Item:
        """The answer as an item of a conversation."""
        return self._done().item(self.id, "completed" if self.status == "completed" else "incomplete")

    def __repr__(self) -> str:
        if not self.finished:
            return f"Response(status='in_progress', {self.latest or 'no partial yet'})"
        parts = [f"text={self.text!r}"] if self.text else []
        parts += [f"calls {call}" for call in self.tool_calls]
        parts += [f"speech={self.speech}"] if self.speech is not None else []
        parts += [f"image={self.image}"] if self._parts.has_pictures else []
        parts += [f"transcript={self.transcript!r}"] if self.transcript is not None else []
        return f"Response(status={self.status!r}, {', '.join(parts) or 'empty'})"

    def _repr_mimebundle_(self, **_: object) -> dict[str, object]:
        shown: dict[str, object] = {"text/plain": repr(self)}
        if self.finished and self.image is not None:
            shown["image/png"] = self.image.png
        done = self.finished
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
        while self.canvas_id is None and not self.finished:
            await self._forming.change()
        self._raise_if_failed()
        if self.canvas_id is None or self.finished:
            raise OmniError("the answer is finished; what is finished cannot be changed: ask for another one")
        return self.canvas_id

    # Fed by the session

    def feed(self, event: events.ServerEvent) -> None:
        """Take one server event that belongs to this response."""
        self._forming.take(event)
        self._parts.take(event)
        match event:
            case events.ResponseCreated():
                self._begin(event.response.id)
            case events.ResponseOutputItemAdded():
                self.made_item_ids.append(str(event.item.id))
            case events.OmniCanvasCreated():
                self.seed, self.steps, self.canvas_id = event.seed, event.steps, event.canvas_id
                self._forming.wake()
            case events.OmniCanvasDone():
                self.seed, self.steps = event.seed, event.steps
                self.changes = list(event.changes)
                self.unmasked_per_step = list(event.unmasked_per_step)
            case events.ResponseDone():
                self._finish(event.response)

    def fail(self, error: OmniError) -> None:
        """End it with an error that everyone who waits for it gets."""
        if not self.finished:
            self.status = "failed"
            self._error = error
            self._end()

    def begin_anew(self) -> None:
        """It is asked for again: what had come of it is forgotten, partials begin from nothing."""
        self._forming.begin_anew()
        self._parts.begin_anew()
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

    def _finish(self, ended: wire_response.Response) -> None:
        self._forming.show_rest()
        self._parts.end(ended)
        self.status = ended.status
        self.usage = ended.usage
        self.reason = _reason(ended)
        if ended.status == "failed":
            self._error = _failure(ended)
        self._end()

    def _end(self) -> None:
        self._ended_at = time.monotonic()
        self._forming.end()

    # Waiting

    async def _until_finished(self) -> Response:
        while not self.finished:
            await self._forming.change()
        self._raise_if_failed()
        return self

    def _raise_if_failed(self) -> None:
        if self._error is not None:
            raise self._error

    def _blocking(self, coroutine: Coroutine[object, object, T]) -> T:
        if self._run is None:
            coroutine.close()
            raise OmniError("this response belongs to an AsyncClient; use `await response` and `async for`")
        return self._run(coroutine)

    def _done(self) -> AnswerParts:
        """Its parts. Raises ResponseUnfinished."""
        if not self.finished:
            raise ResponseUnfinished("the answer is still being made; await it first, or look at its partials")
        return self._parts

    def _ask(self, request: Literal["cancel", "finalize"]) -> None:
        if self.finished:
            return
        if self._run is None:
            self.note(request)
        else:
            self._run(self._note_on_loop(request))

    async def _note_on_loop(self, request: Literal["cancel", "finalize"]) -> None:
        self.note(request)

    def note(self, request: Literal["cancel", "finalize"]) -> None:
        """Take note of what is asked of it, on the session's own thread."""
        if self.finished or request in self._wanted:
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
