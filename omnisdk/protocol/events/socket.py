"""A session over its sockets, in vLLM-Omni's names; taken from every client that sends them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from omnisdk.protocol.events.base import FromClient, FromServer
from omnisdk.protocol.settings import SessionSettings


class SessionResume(FromClient, tag="session.resume"):
    """Go on with a session whose socket was lost: the first event on a socket that was opened with `?autostart=0`.

    Answered by session.resumed and all numbered events after `last_received_server_event_seq`.
    """

    session_id: str
    resume_token: str
    last_received_server_event_seq: Annotated[int, Meta(ge=0)] = 0


class SessionEventAck(FromClient, tag="session.event_ack"):
    """All events up to this number have come and need not be kept. Not answered."""

    server_event_seq: Annotated[int, Meta(ge=0)]


class SessionHeartbeat(FromClient, tag="session.heartbeat"):
    """Are you there? Answered by session.heartbeat_ack, after what was sent before. Does not count as use."""


class SessionClose(FromClient, tag="session.close"):
    """End the session for good. Answered by session.closed."""


SocketEvent = SessionResume | SessionEventAck | SessionHeartbeat | SessionClose


class SessionResumed(FromServer, tag="session.resumed"):
    """The session goes on over this socket; the numbered events that were not received come next.

    resume_token: takes the place of the one before. last_client_event_id: of the last event with an id that the
    session took; those sent after it were lost.
    """

    session_id: str
    session: SessionSettings
    resume_token: str
    attachment_generation: int
    last_client_event_id: str | None = None


class SessionReplaced(FromServer, tag="session.replaced"):
    """Another socket has resumed the session; this one is closed."""

    session_id: str
    attachment_generation: int


class SessionResyncRequired(FromServer, tag="session.resync_required"):
    """Events that were not received are no longer kept, so the session cannot be resumed; begin a new one."""

    session_id: str
    reason: str


class SessionHeartbeatAck(FromServer, tag="session.heartbeat_ack"):
    """The server is there, and has taken what was sent before."""

    session_id: str


class SessionClosed(FromServer, tag="session.closed"):
    """The session has ended, as the client asked."""

    session_id: str
    reason: str


class OmniSessionGoAway(FromServer, tag="omni.session.go_away"):
    """The session will be closed. reason: "shutdown", "idle" (not if it is used) or "max_session"."""

    time_left_ms: int
    reason: str
