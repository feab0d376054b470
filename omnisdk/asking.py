"""What is asked of the server: settings as the events that carry them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from omnisdk.canvas import Canvas
from omnisdk.errors import SettingsError
from omnisdk.protocol import events, settings
from omnisdk.protocol.changes import CanvasChange, Steer, SteerChange
from omnisdk.protocol.items import ItemReference
from omnisdk.protocol.limits import WIRE_SAMPLE_RATE_HZ
from omnisdk.response import Response
from omnisdk.server_items import ServerItems
from omnisdk.settings import GenerationSettings
from omnisdk.structured import OutputType
from omnisdk.tools import Tool

OUTSIDE_OMNI = ("tools", "tool_choice", "output_type")  # settings that have places of their own


def session_update(
    wanted: GenerationSettings, system: str | None, detection: settings.ServerVad | None
) -> events.SessionUpdate:
    """All that a session is told at its beginning."""
    pcm = settings.AudioFormat(type="audio/pcm", rate=WIRE_SAMPLE_RATE_HZ)
    session = settings.SessionSettings(
        output_modalities=["audio" if "speech" in (wanted.output or ()) else "text"],
        audio=settings.AudioSettings(input=settings.AudioInput(format=pcm, turn_detection=detection)),
        omni=_omni(wanted, version=settings.OMNI_VERSION),
    )
    if system is not None:
        session.instructions = system
    if wanted.tools is not None:
        session.tools = [_function(tool) for tool in wanted.tools]
    if wanted.tool_choice is not None:
        session.tool_choice = _choice(wanted.tool_choice)
    return events.SessionUpdate(session=session)


def answer_settings(wanted: GenerationSettings, canvas: Canvas | None = None) -> settings.ResponseSettings:
    """Of an answer to the conversation, laid out as the canvas says if there is one. Raises SettingsError."""
    if canvas is not None:
        _check_canvas(canvas, wanted)
        if canvas.prompt:
            raise SettingsError("this canvas answers the conversation and came with a prompt; say that with send(...)")
    return _settings(wanted, canvas)


def canvas_settings(canvas: Canvas, wanted: GenerationSettings) -> settings.ResponseSettings:
    """Of a canvas that is filled in beside the conversation. Raises SettingsError."""
    _check_canvas(canvas, wanted)
    response = _settings(wanted, canvas)
    response.conversation, response.input = "none", [canvas.request()]
    return response


def _check_canvas(canvas: Canvas, wanted: GenerationSettings) -> None:
    if not isinstance(canvas, Canvas):
        raise SettingsError(f"{canvas!r} came to be filled in; give Canvas(...)")
    if wanted.tools or wanted.tool_choice:
        raise SettingsError("a canvas calls no tools; let another answer call them, before it or after it")
    if wanted.output or wanted.output_type or wanted.recipe:
        raise SettingsError("a canvas says itself what the answer holds; leave out output and recipe")


def _settings(wanted: GenerationSettings, canvas: Canvas | None) -> settings.ResponseSettings:
    response = settings.ResponseSettings()
    if wanted.given:
        response.omni = _omni(wanted)
    if wanted.tools is not None:
        response.tools = [_function(tool) for tool in wanted.tools]
    if wanted.tool_choice is not None:
        response.tool_choice = _choice(wanted.tool_choice)
    if wanted.output_type is not None:
        response.tools = [_function(wanted.output_type)]
        response.tool_choice = _choice(wanted.output_type.name)
    if canvas is not None:
        response.omni = omni = _omni_of(response)
        omni.canvas, omni.given = canvas.slots(), canvas.given()
    return response


def replay_settings(first: Response, server_items: ServerItems) -> settings.ResponseSettings:
    """Of the same answer again, beside the conversation, from what its end told."""
    assert first.asked is not None
    wanted, item_ids = first.asked
    items = [ItemReference(id=item_id) for item_id in server_items.as_told(item_ids)]
    return msgspec.structs.replace(
        wanted,
        conversation="none",
        input=items if wanted.input is msgspec.UNSET else wanted.input,
        omni=msgspec.structs.replace(
            _omni_of(wanted), seed=first.seed, deadline_ms=None, changes=_with_media(first.changes, first.steers)
        ),
    )


def _omni(wanted: GenerationSettings, **more: Any) -> settings.OmniSettings:
    given = {name: value for name, value in wanted if value is not None and name not in OUTSIDE_OMNI} | more
    if wanted.slots is not None:
        given["generation"] = {name: slot.given for name, slot in wanted.slots.items()}
        del given["slots"]
    return msgspec.convert(given, settings.OmniSettings)


def _omni_of(response: settings.ResponseSettings) -> settings.OmniSettings:
    return settings.OmniSettings() if response.omni is msgspec.UNSET else response.omni


def _with_media(told: Sequence[CanvasChange], steers: Sequence[Steer]) -> list[CanvasChange]:
    """Changes as the server told them, steering with the speech and the pictures it was asked for with."""
    asked = iter(steers)
    return [
        msgspec.structs.replace(change, steer=msgspec.structs.replace(change.steer, input=next(asked).input))
        if isinstance(change, SteerChange)
        else change
        for change in told
    ]


def _function(tool: Tool | OutputType[object]) -> settings.FunctionTool:
    return settings.FunctionTool(name=tool.name, description=tool.description, parameters=tool.schema)


def _choice(name: str) -> settings.ToolChoice:
    general: dict[str, settings.ToolChoice] = {"none": "none", "auto": "auto", "required": "required"}
    return general.get(name) or settings.ToolChoiceFunction(name=name)
