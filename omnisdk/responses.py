"""The answers of a session while they are made: asked for, then named by the server, then fed with what comes."""

from __future__ import annotations

import time

from omnisdk.asking import replay_settings
from omnisdk.connecting import asset_url
from omnisdk.connection import Connection
from omnisdk.editing import Wait
from omnisdk.errors import ConnectionLost, OmniError
from omnisdk.protocol import events
from omnisdk.protocol.settings import ResponseSettings
from omnisdk.response import CanvasChange, Response
from omnisdk.server_items import ServerItems
from omnisdk.structured import OutputType

ANSWERED_BY: dict[type[CanvasChange], str] = {
    events.OmniCanvasEdit: "omni.canvas.edited",
    events.OmniResponseTune: "omni.response.tuned",
    events.OmniCanvasSteer: "omni.canvas.steered",
}


class Responses:
    """Those that are not finished, and what each of them asks of the server."""

    def __init__(self, connection: Connection, server_items: ServerItems) -> None:
        self.run: Wait | None = None  # how a thread without this loop waits; the sync client's
        self.newest: Response | None = None  # of those in the conversation
        self._connection, self._server_items = connection, server_items
        self._asked: dict[str, Response] = {}  # by the id of the event that asked, until the server names it
        self._running: dict[str, Response] = {}  # by response id
        self._held: list[events.ResponseCreate] = []  # not sent while the answer before is being stopped

    # Beginning one

    def begin(self, wanted: ResponseSettings, *, asked_at: float, form: OutputType[object] | None = None) -> Response:
        """Ask for an answer to the conversation, after the one that is being stopped; returns at once."""
        stopping = any(running.stopping for running in [*self._asked.values(), *self._running.values()])
        self.newest = response = self._create(wanted, asked_at, form)
        assert response.request is not None
        self._held.append(response.request)
        if not stopping:
            self._post_held()
        return response

    def begin_beside(self, wanted: ResponseSettings) -> Response:
        """Ask for one outside of the conversation; returns at once."""
        response = self._create(wanted, time.monotonic())
        response.beside = True
        assert response.request is not None
        self._connection.post(response.request)
        return response

    def fork(self, first: Response, seed: int | None, at_step: int | None) -> Response:
        """A second answer that goes on from what the first knows, or knew."""
        assert first.canvas_id is not None
        response, event_id = self._expected(time.monotonic())
        response.asked, response.steers, response.beside = first.asked, list(first.steers), True
        fork = events.OmniCanvasFork(canvas_id=first.canvas_id, seed=seed, at_step=at_step)
        fork.event_id, fork.metadata = event_id, {"client_event_id": event_id}
        self._connection.post(fork)
        return response

    def replay(self, first: Response) -> Response:
        """The same answer again, from what its end told."""
        response, event_id = self._expected(time.monotonic())
        wanted = replay_settings(first, self._server_items)
        response.request, response.asked = _create_event(event_id, wanted), (wanted, ())
        response.steers, response.beside = list(first.steers), True
        self._connection.post(response.request)
        return response

    def _create(self, wanted: ResponseSettings, asked_at: float, form: OutputType[object] | None = None) -> Response:
        response, event_id = self._expected(asked_at, form)
        response.request = _create_event(event_id, wanted)
        response.asked = wanted, ()
        return response

    def _expected(self, asked_at: float, form: OutputType[object] | None = None) -> tuple[Response, str]:
        """A response that is about to be asked for, by an event of this id."""
        response, event_id = Response(self, asked_at=asked_at, run=self.run, form=form), self._connection.new_id()
        if self._connection.lost is None:
            self._asked[event_id] = response
        else:
            response.fail(self._connection.lost)
        return response, event_id

    def _post_held(self) -> None:
        for event in self._held:
            self._connection.post(event)
        self._held.clear()

    # Changing one

    def request_cancel(self, response_id: str) -> None:
        """Ask the server to stop a response."""
        self._connection.post(events.ResponseCancel(response_id=response_id))

    def request_finalize(self, response_id: str) -> None:
        """Ask the server to end a response with the best it has."""
        self._connection.post(events.OmniResponseFinalize(response_id=response_id))

    async def change(self, event: CanvasChange) -> int:
        """The step at which a change of an answer was made. Raises ServerError."""
        made = await self._connection.receipt(event, ANSWERED_BY[type(event)])
        assert isinstance(made, events.OmniCanvasEdited | events.OmniResponseTuned | events.OmniCanvasSteered)
        return made.applied_at_step

    def asset_url(self, url: str) -> str:
        """Where a picture of the server's can be fetched."""
        return asset_url(self._connection.url, url)

    # What the server says of them

    def named(self, event: events.ResponseCreated) -> None:
        """Pair the server's response with the one asked for: by its metadata, else the oldest. It answers the items
        that the server has."""
        if not self._asked:
            return
        named = (event.response.metadata or {}).get("client_event_id")
        asked = named if named in self._asked else next(iter(self._asked))
        self._connection.answered(asked)
        response = self._asked.pop(asked)
        self._running[event.response.id] = response
        if response.asked is not None and not response.asked[1]:
            response.asked = response.asked[0], self._server_items.ids
        response.feed(event)

    def feed(self, event: events.ServerEvent) -> None:
        """Give the event to the response it names; what it heard of the user belongs to the one being made."""
        if isinstance(event, events.ResponseDone):
            response = self._running.pop(event.response.id, None)
            self._post_held()
        elif isinstance(event, events.ConversationItemInputAudioTranscriptionCompleted):
            response = self.newest
        else:
            response = self._running.get(getattr(event, "response_id", ""))
        if response is not None and not response.finished:
            response.feed(event)

    def is_beside(self, event: events.ServerEvent) -> bool:
        """Whether it belongs to a response that stands outside of the conversation."""
        response = self._running.get(getattr(event, "response_id", ""))
        return response is not None and response.beside

    def refused(self, event_id: str | None, error: OmniError) -> bool:
        """Whether an answer was asked for with this event, which then fails."""
        if event_id not in self._asked:
            return False
        self._asked.pop(event_id).fail(error)
        self._post_held()
        return True

    def oldest_refused(self, error: OmniError) -> None:
        """Something was refused, and nobody said what."""
        if self._asked:
            self._asked.pop(next(iter(self._asked))).fail(error)

    # Losing the connection

    def begin_anew(self) -> list[str]:
        """Ask again for all that were being made; the ids of the items that they had made."""
        running, self._running = list(self._running.values()), {}
        item_ids = [item_id for response in running for item_id in response.made_item_ids]
        for response in running:
            self._begin_anew(response)
        return item_ids

    def _begin_anew(self, response: Response) -> None:
        if response.stopping:
            response.give_up()
            self._post_held()
        elif response.request is None:
            response.fail(ConnectionLost("the connection was lost, and with it the answer that this one was forked of"))
        else:
            response.begin_anew()
            self._asked[str(response.request.event_id)] = response
            self._connection.post(response.request)

    def lose(self, error: ConnectionLost) -> None:
        """End all of them."""
        for response in [*self._asked.values(), *self._running.values()]:
            response.fail(error)
        self._asked.clear()
        self._running.clear()


def _create_event(event_id: str, wanted: ResponseSettings) -> events.ResponseCreate:
    wanted.metadata = {"client_event_id": event_id}
    return events.ResponseCreate(event_id=event_id, response=wanted)
