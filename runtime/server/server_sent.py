"""Server-sent events, as `stream: true` gets them."""

from typing import Any

import msgspec

MEDIA_TYPE = "text/event-stream"
DONE = "data: [DONE]\n\n"


def sent(told: dict[str, Any], name: str | None = None) -> str:
    """An event of one JSON object."""
    head = "" if name is None else f"event: {name}\n"
    return f"{head}data: {msgspec.json.encode(told).decode()}\n\n"
