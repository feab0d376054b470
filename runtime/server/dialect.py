"""How a client speaks: in our own events, or in others that are translated where they come in."""

from collections.abc import Iterator
from typing import Protocol

from omnisdk.protocol import wire
from omnisdk.protocol.events import ClientEvent, ServerEvent


class Dialect(Protocol):
    """hears_turns_end: whether the server hears when a turn ends until the client says otherwise."""

    hears_turns_end: bool

    def read(self, frame: str | bytes) -> Iterator[ClientEvent]:
        """What a frame means. Each event is to be taken before the next is asked for. Raises ProtocolError."""

    def told(self, event: ServerEvent) -> None:
        """To be called with what the client is told."""


class OwnWords:
    """The protocol as it is written down."""

    hears_turns_end = True

    def read(self, frame: str | bytes) -> Iterator[ClientEvent]:
        yield wire.decode_client_event(frame)

    def told(self, event: ServerEvent) -> None:
        pass
