"""Events as frames that every client takes: below 1 MiB, whatever they hold."""

import logging

from omnisdk.protocol import errors, events, wire
from omnisdk.protocol.events import ServerEvent
from omnisdk.protocol.limits import MAX_OUTBOUND_FRAME_BYTES

log = logging.getLogger(__name__)


def framed(event: ServerEvent, binary: bool) -> str | bytes:
    """The frame of an event; binary: MessagePack in the place of JSON.

    What events hold is bounded where it comes in, so that none is too large. Should one be all the same, an error is
    told in its place: many clients would close the connection.
    """
    frame = wire.pack(event) if binary else wire.encode(event)
    size = frame_bytes(frame)
    if size <= MAX_OUTBOUND_FRAME_BYTES:
        return frame
    log.error("an event of %d bytes was not sent: %s", size, type(event).__name__)
    return framed(_too_large(event, size), binary)


def frame_bytes(frame: str | bytes) -> int:
    """As it is sent."""
    return len(frame) if isinstance(frame, bytes) or frame.isascii() else len(frame.encode())


def _too_large(event: ServerEvent, size: int) -> events.Error:
    message = (
        f"an event {event.__struct_config__.tag} of {size} bytes was not sent; at most {MAX_OUTBOUND_FRAME_BYTES} are; "
        "ask for less at once"
    )
    details = events.ErrorDetails(type=errors.SERVER_ERROR, code=errors.MESSAGE_TOO_LARGE, message=message)
    return events.Error(event_id=event.event_id, error=details)
