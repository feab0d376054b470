"""Errors, and the settings of a session."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from omnisdk.protocol.events.base import FromClient, FromServer
from omnisdk.protocol.settings import SessionSettings


class SessionUpdate(FromClient, tag="session.update"):
    """Lay these settings over those that hold; what is left out stays. Answered by session.updated."""

    session: SessionSettings


class ErrorDetails(Struct, kw_only=True):
    """event_id: the client's id of the event at fault."""

    type: str
    message: str
    code: str | None = None
    param: str | None = None
    event_id: str | None = None


class Error(FromServer, tag="error"):
    """An event could not be taken; the session lives on."""

    error: ErrorDetails


class SessionCreated(FromServer, tag="session.created"):
    """The first event of a session. resume_token: of sessions that survive their socket, to be kept secret.

    attachment_generation: how many sockets the session has had.
    """

    session: SessionSettings
    resume_token: str | UnsetType = UNSET
    attachment_generation: int | UnsetType = UNSET


class SessionUpdated(FromServer, tag="session.updated"):
    """The settings that hold from now on, all of them.

    resume_token, attachment_generation: as in session.created, once the client has opted in to the extension by this.
    """

    session: SessionSettings
    resume_token: str | UnsetType = UNSET
    attachment_generation: int | UnsetType = UNSET
