"""What every event has.

`event_id` is optional on what a client sends and comes back in the error about it; the server stamps its own.
`server_event_seq` is counted in sessions that survive their socket; partials and a few others have none.
"""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType


class FromClient(Struct, tag_field="type", kw_only=True, omit_defaults=True):
    event_id: str | None = None


class FromServer(Struct, tag_field="type", kw_only=True):
    event_id: str = ""
    server_event_seq: int | UnsetType = UNSET
