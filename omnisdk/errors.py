"""Every error this SDK raises: a subclass of OmniError whose text says what came, what was allowed and what to do."""

from __future__ import annotations


class OmniError(Exception):
    """The root of all errors of the SDK."""


class MediaError(OmniError):
    """Speech or a picture that cannot be used: empty, truncated, too long, too large, or not media at all."""


class SettingsError(OmniError):
    """A generation setting that is unknown or out of range."""


class SchemaError(OmniError):
    """A schema of a tool's parameters, or of an answer's type, that no model can fill in: what, and what can be."""


class ConnectFailed(OmniError):  # noqa: N818 - it reads as what happened
    """No live session could be opened: nothing listens there, the key was refused, or it is no omni server."""


class ConnectionLost(OmniError):  # noqa: N818 - it reads as what happened
    """The websocket closed while something was being awaited."""


class ServerError(OmniError):
    """The server refused an event or failed at it. Carries the server's code, param and event ids."""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        event_id: str | None = None,
        client_event_id: str | None = None,
    ) -> None:
        details = ", ".join(
            f"{name} {value}" for name, value in (("code", code), ("param", param), ("event", event_id)) if value
        )
        super().__init__(f"{message} ({details})" if details else message)
        self.message = message
        self.code = code
        self.param = param
        self.event_id = event_id
        self.client_event_id = client_event_id


class ResponseFailed(ServerError):  # noqa: N818 - it reads as what happened
    """The answer ended with status "failed"."""


class ResponseUnfinished(OmniError):  # noqa: N818 - it reads as what happened
    """A finished part was read while the answer is still being made."""


class LocalRuntimeError(OmniError):
    """The runtime could not be started on this machine, or died. Carries the last lines it wrote."""

    def __init__(self, message: str, *, stderr_tail: str = "") -> None:
        super().__init__(f"{message}\n{stderr_tail}" if stderr_tail else message)
        self.stderr_tail = stderr_tail
