"""Talk to a model that hears, reads, sees, writes, draws and speaks: conversations, media and live sessions.

Nothing is imported until it is used, so `import omnisdk` is as good as free.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omnisdk.agent import Agent
    from omnisdk.agent_events import (
        AgentResult,
        Called,
        Handoff,
        ModelRequest,
        Progress,
        TurnFailed,
        TurnStopped,
        Understood,
        UserBegan,
        UserSpoke,
    )
    from omnisdk.canvas import Canvas
    from omnisdk.client import AsyncClient, Client, Session
    from omnisdk.conversation import Conversation, Item, Text, ToolCall, ToolResult
    from omnisdk.editing import Box, Change, Chars, Edit, Region, Span, Words
    from omnisdk.errors import (
        ConnectFailed,
        ConnectionLost,
        LocalRuntimeError,
        MediaError,
        OmniError,
        ResponseFailed,
        ResponseUnfinished,
        SchemaError,
        ServerError,
        SettingsError,
    )
    from omnisdk.hooks import Stopped
    from omnisdk.live import Live
    from omnisdk.mcp import mcp_tools
    from omnisdk.media import Image, PreviewImage, Speaker, Speech, microphone, speaker
    from omnisdk.media.plots import animation, filmstrip, spectrogram
    from omnisdk.partials import ImagePartial, Partial, SlotPartial, SpeechPartial, TextPartial, TextSpan
    from omnisdk.playback import SpeakerLike
    from omnisdk.reconnecting import Reconnect
    from omnisdk.response import Response, Timing
    from omnisdk.session import AsyncSession
    from omnisdk.settings import GenerationSettings, SlotSettings
    from omnisdk.structured import OutputError
    from omnisdk.tools import FunctionTool, Tool, ToolContext, ToolError, tool
    from omnisdk.workflow import StepEvent, StepFailed, Workflow, WorkflowResult

_HOME = {
    "StepEvent": "workflow",
    "StepFailed": "workflow",
    "Workflow": "workflow",
    "WorkflowResult": "workflow",
    "Called": "agent_events",
    "Handoff": "agent_events",
    "ModelRequest": "agent_events",
    "Progress": "agent_events",
    "TurnFailed": "agent_events",
    "TurnStopped": "agent_events",
    "Understood": "agent_events",
    "Live": "live",
    "SpeakerLike": "playback",
    "UserBegan": "agent_events",
    "UserSpoke": "agent_events",
    "Stopped": "hooks",
    "mcp_tools": "mcp",
    "OutputError": "structured",
    "FunctionTool": "tools",
    "tool": "tools",
    "ToolError": "tools",
    "ToolContext": "tools",
    "Tool": "tools",
    "ToolResult": "conversation",
    "ToolCall": "conversation",
    "Canvas": "canvas",
    "AgentResult": "agent_events",
    "Agent": "agent",
    "AsyncClient": "client",
    "Client": "client",
    "Session": "client",
    "Conversation": "conversation",
    "Item": "conversation",
    "Text": "conversation",
    "Box": "editing",
    "Chars": "editing",
    "Region": "editing",
    "Span": "editing",
    "Words": "editing",
    "Change": "editing",
    "Edit": "editing",
    "ConnectFailed": "errors",
    "ConnectionLost": "errors",
    "LocalRuntimeError": "errors",
    "MediaError": "errors",
    "OmniError": "errors",
    "ResponseFailed": "errors",
    "ResponseUnfinished": "errors",
    "SchemaError": "errors",
    "ServerError": "errors",
    "SettingsError": "errors",
    "Image": "media",
    "PreviewImage": "media",
    "animation": "media.plots",
    "filmstrip": "media.plots",
    "spectrogram": "media.plots",
    "Speaker": "media",
    "Speech": "media",
    "microphone": "media",
    "speaker": "media",
    "Reconnect": "reconnecting",
    "ImagePartial": "partials",
    "Partial": "partials",
    "SlotPartial": "partials",
    "SpeechPartial": "partials",
    "TextPartial": "partials",
    "TextSpan": "partials",
    "Response": "response",
    "Timing": "response",
    "AsyncSession": "session",
    "GenerationSettings": "settings",
    "SlotSettings": "settings",
}

__all__ = [
    "Agent",
    "AgentResult",
    "AsyncClient",
    "AsyncSession",
    "Box",
    "Called",
    "Canvas",
    "Change",
    "Chars",
    "Client",
    "ConnectFailed",
    "ConnectionLost",
    "Conversation",
    "Edit",
    "FunctionTool",
    "GenerationSettings",
    "Handoff",
    "Image",
    "ImagePartial",
    "Item",
    "Live",
    "LocalRuntimeError",
    "MediaError",
    "ModelRequest",
    "OmniError",
    "OutputError",
    "Partial",
    "PreviewImage",
    "Progress",
    "Reconnect",
    "Region",
    "Response",
    "ResponseFailed",
    "ResponseUnfinished",
    "SchemaError",
    "ServerError",
    "Session",
    "SettingsError",
    "SlotPartial",
    "SlotSettings",
    "Span",
    "Speaker",
    "SpeakerLike",
    "Speech",
    "SpeechPartial",
    "StepEvent",
    "StepFailed",
    "Stopped",
    "Text",
    "TextPartial",
    "TextSpan",
    "Timing",
    "Tool",
    "ToolCall",
    "ToolContext",
    "ToolError",
    "ToolResult",
    "TurnFailed",
    "TurnStopped",
    "Understood",
    "UserBegan",
    "UserSpoke",
    "Words",
    "Workflow",
    "WorkflowResult",
    "animation",
    "filmstrip",
    "mcp_tools",
    "microphone",
    "speaker",
    "spectrogram",
    "tool",
]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'omnisdk' has no attribute {name!r}")
    return getattr(import_module(f"omnisdk.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
