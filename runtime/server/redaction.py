"""Keys stay out of logs: the websocket library writes every header of a handshake at debug level."""

import logging

SECRET_HEADERS = ("authorization", "cookie", "sec-websocket-protocol")  # browsers send keys as subprotocols
REDACTED = "(left out)"


def redact(record: logging.LogRecord) -> bool:
    """A filter that lets everything pass, without the values of such headers."""
    if isinstance(record.args, tuple) and record.args and str(record.args[0]).lower() in SECRET_HEADERS:
        record.args = (record.args[0], *(REDACTED for _ in record.args[1:]))
    return True
