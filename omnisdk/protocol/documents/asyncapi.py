"""The protocol as an AsyncAPI 3 document, told from the server's side: it receives what clients send."""

from __future__ import annotations

from typing import Any

import msgspec

from omnisdk.protocol import wire
from omnisdk.protocol.documents.catalogue import Event, events
from omnisdk.protocol.documents.examples import full_example
from omnisdk.protocol.documents.schemas import schemas
from omnisdk.protocol.settings import OMNI_MSGPACK, OMNI_VERSION

CHANNEL = "realtime"
ABOUT = (
    "The OpenAI Realtime protocol and a namespaced extension for masked diffusion. Events are JSON in text frames; "
    f"with the subprotocol {OMNI_MSGPACK} they are MessagePack in binary frames, media as raw bytes."
)


def asyncapi_document() -> dict[str, Any]:
    return {
        "asyncapi": "3.1.0",
        "info": {"title": "omnisdk", "version": OMNI_VERSION, "description": ABOUT, "license": {"name": "Apache-2.0"}},
        "defaultContentType": "application/json",
        "servers": {
            "local": {
                "host": "127.0.0.1:8765",
                "protocol": "ws",
                "security": [{"$ref": "#/components/securitySchemes/bearer"}],
            }
        },
        "channels": {CHANNEL: _channel()},
        "operations": {
            "receive": _operation("receive", "client", "What a client sends."),
            "send": _operation("send", "server", "What the server sends."),
        },
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "messages": {event.name: _message(event) for event in events()},
            "schemas": schemas("#/components/schemas/{name}"),
        },
    }


def _channel() -> dict[str, Any]:
    query = {
        "type": "object",
        "properties": {
            "omni": {"enum": ["1"], "description": f"Opts in to the extension, as subprotocol {OMNI_VERSION} does."},
        },
    }
    return {
        "address": "/v1/realtime",
        "description": f"Subprotocols: realtime, {OMNI_VERSION}, {OMNI_MSGPACK}, or none.",
        "messages": {event.name: {"$ref": f"#/components/messages/{event.name}"} for event in events()},
        "bindings": {"ws": {"method": "GET", "query": query, "bindingVersion": "0.1.0"}},
    }


def _operation(action: str, sender: str, summary: str) -> dict[str, Any]:
    named = [event.name for event in events() if event.sender == sender]
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{CHANNEL}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{CHANNEL}/messages/{name}"} for name in named],
    }


def _message(event: Event) -> dict[str, Any]:
    tags = [{"name": "extension" if event.extension else "core"}]
    example = msgspec.json.decode(wire.encode(full_example(event.described.kind.cls)))
    summary = {"summary": event.described.says} if event.described.says else {}
    return {
        "name": event.name,
        **summary,
        "tags": tags,
        "payload": {"$ref": f"#/components/schemas/{event.described.name}"},
        "examples": [{"payload": example}],
    }
