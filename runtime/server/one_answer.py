"""One answer outside of any socket: a session of a single response, for requests over plain HTTP."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from omnisdk.protocol import errors, events
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.events import ServerEvent
from omnisdk.protocol.items import Item
from omnisdk.protocol.session import SessionRules, new_session_settings
from omnisdk.protocol.settings import ResponseSettings
from runtime.engine.request import Part
from runtime.server.accounts import Account
from runtime.server.assets import AssetStore
from runtime.server.http_errors import not_made
from runtime.server.model_card import ModelCard
from runtime.server.outbox import Outbox
from runtime.server.responses import Responses, new_id

MAX_UNSENT_EVENTS = 16_384  # more than one response ever has
MAX_PICTURE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Said:
    """An item of the conversation that is answered, and what the model reads of it, part by part."""

    item: Item
    parts: tuple[Part, ...]


class OneAnswer:
    """To be closed, whatever comes of it once it has begun."""

    def __init__(self, account: Account, model: ModelCard, conversation: Sequence[Said]) -> None:
        session_id = new_id("http")
        rules = SessionRules(
            new_session_settings(session_id, model.name),
            new_id,
            speaks=model.speaks,
            max_speech_s=model.max_speech_s,
        )
        rules.conversation.items.extend(said.item for said in conversation)
        self._outbox = Outbox(MAX_UNSENT_EVENTS)
        self._coming = self._told()
        self._early: list[ServerEvent] = []  # what came until it had begun
        self._pictures = AssetStore(MAX_PICTURE_BYTES)
        self._responses = Responses(
            account,
            model,
            rules,
            {str(said.item.id): said.parts for said in conversation},
            self._outbox,
            self._pictures,
            str,
            tenant=session_id,
            tell_error=lambda error, _: None,  # nothing is changed while it is made
            on_overflow=lambda: None,  # there is room for all of it
            on_end=lambda _: None,
        )

    async def begin(self, wanted: ResponseSettings) -> None:
        """Until the model works at it: what refuses it before, its other work too, can be told with a status.

        Raises ProtocolError, about fields of `response`; it is closed then.
        """
        try:
            await self._responses.create(wanted)
            async for event in self._coming:
                self._early.append(event)
                if not isinstance(event, events.ResponseCreated):
                    return
        except BaseException as error:  # cancelled, too
            self.close()
            if isinstance(error, ProtocolError):
                error.param = error.param and error.param.removeprefix("response.")
            raise

    async def events(self) -> AsyncIterator[ServerEvent]:
        """Up to response.done. Raises ProtocolError where it fails."""
        for event in self._early:
            yield event
        async for event in self._coming:
            yield event

    async def _told(self) -> AsyncIterator[ServerEvent]:
        while (told := await self._outbox.next()) is not None:
            for event in told:
                if isinstance(event, events.Error):
                    raise not_made(event.error.message)
                if isinstance(event, events.ResponseDone):
                    _check_end(event)
                yield event
                if isinstance(event, events.ResponseDone):
                    return

    def picture(self, asset_id: str) -> bytes | None:
        """A picture that an event has named, as PNG."""
        return self._pictures.get(asset_id)

    def close(self) -> None:
        self._responses.close()
        self._outbox.close()


def _check_end(done: events.ResponseDone) -> None:
    details = done.response.status_details
    if done.response.status == "failed":
        assert details is not None
        assert details.error is not None
        cause = details.error
        raise ProtocolError(str(cause.message), code=str(cause.code), kind=str(cause.type))
    if done.response.status == "cancelled":
        raise not_made("the answer was cancelled because the server is stopping; ask again later", errors.SHUTTING_DOWN)
