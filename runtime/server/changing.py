"""Changes as clients send them -> as the engine makes them, and what was made -> as clients are told."""

from collections.abc import Sequence
from dataclasses import replace

import msgspec
from msgspec import UNSET, UnsetType

from omnisdk.protocol import changes, errors, events, limits
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.items import InputAudio, InputImage, Item, Message
from omnisdk.protocol.session import SessionRules
from runtime.engine.changes import Change, Dated, Editing, Finalizing, Record, Reseeding, Steering, Tuning
from runtime.engine.edits import Edit
from runtime.engine.request import Part, TextPart, Turn
from runtime.server.parts import read_item


def tuning_of(event: events.OmniResponseTune | changes.TuneChange, path: str = "") -> Tuning:
    """Raises ProtocolError; what the engine checks is not checked here."""
    if event.steps_left is None and event.temperature is None:
        raise ProtocolError(
            "nothing to change came; send steps_left, temperature or both",
            code=errors.INVALID_VALUE,
            param=path or None,
        )
    if event.steps_left is not None and not 1 <= event.steps_left <= limits.MAX_STEPS:
        raise _refused(
            f"{event.steps_left} steps left came; send 1 to {limits.MAX_STEPS}; to end now, finalize",
            f"{path}.steps_left".strip("."),
        )
    if event.temperature is not None and not 0 <= event.temperature <= limits.MAX_TEMPERATURE:
        raise _refused(
            f"temperature {event.temperature:g} came; send 0 to {limits.MAX_TEMPERATURE:g}",
            f"{path}.temperature".strip("."),
        )
    return Tuning(event.steps_left, event.temperature)


async def steering_of(
    wanted: changes.Steer,
    turns: Sequence[Turn],
    opened: tuple[Edit, ...] | None,
    rules: SessionRules,
    path: str = "steer",
) -> Steering:
    """turns: those that are answered now. rules: what the input may hold. Raises ProtocolError."""
    if (wanted.instructions is None) == (wanted.input is None):
        raise _refused("give either instructions, the request in other words, or input, the turn anew", path)
    if wanted.instructions is not None:
        if len(wanted.instructions) > limits.MAX_TEXT_LENGTH:
            raise _refused(
                f"{len(wanted.instructions)} characters came; at most {limits.MAX_TEXT_LENGTH} are taken",
                f"{path}.instructions",
            )
        if not wanted.instructions.strip():
            raise _refused("the instructions are empty; say what the answer is to be", f"{path}.instructions")
        media = tuple(part for part in turns[-1].parts if not isinstance(part, TextPart))
        parts: tuple[Part, ...] = (*media, TextPart(wanted.instructions))
    else:
        parts = await _read(wanted.input or [], rules, f"{path}.input")
    asked = (*turns[:-1], replace(turns[-1], parts=parts))
    return Steering(asked, wanted.bound, opened, told_as=_without_media(wanted))


async def _read(items: Sequence[Item], rules: SessionRules, path: str) -> tuple[Part, ...]:
    for index, item in enumerate(items):
        if not isinstance(item, Message) or item.role != "user":
            raise _refused("an answer is steered by what the user says; send user messages", f"{path}[{index}]")
        rules.check_message(item, f"{path}[{index}]")
    read = [await read_item(item, rules.input_encoding, f"{path}[{index}]") for index, item in enumerate(items)]
    parts = tuple(part for own in read for part in own)
    if not any(part.text.strip() if isinstance(part, TextPart) else part for part in parts):
        raise _refused("the input holds nothing; send a user message that says or shows something", path)
    return parts


def _without_media(steer: changes.Steer) -> changes.Steer:
    """As it is told: places as they will be told, and no bytes."""
    items = None if steer.input is None else [_bare(item) for item in steer.input]
    return msgspec.structs.replace(steer, input=items, opened=None)


def _bare(item: Item) -> Item:
    if not isinstance(item, Message):
        return item
    content = [
        msgspec.structs.replace(part, audio=UNSET) if isinstance(part, InputAudio)
        else msgspec.structs.replace(part, image_url=None) if isinstance(part, InputImage)
        else part
        for part in item.content
    ]  # fmt: skip
    return msgspec.structs.replace(item, content=content)


async def changes_of(
    wanted: Sequence[changes.CanvasChange] | UnsetType, turns: Sequence[Turn], rules: SessionRules, path: str
) -> tuple[Dated, ...]:
    """Those that a response is begun with. turns: what it answers. Raises ProtocolError."""
    dated: list[Dated] = []
    for index, one in enumerate(() if wanted is UNSET else wanted):
        change = await _change_of(one, turns, rules, f"{path}[{index}]")
        turns = change.turns if isinstance(change, Steering) else turns
        dated.append(Dated(one.at_step, change))
    return tuple(dated)


async def _change_of(one: changes.CanvasChange, turns: Sequence[Turn], rules: SessionRules, path: str) -> Change:
    match one:
        case changes.EditChange(edits=edits):
            if not edits:
                raise _refused("no edits came; send one at least", f"{path}.edits")
            return Editing(tuple(_placed(edit, f"{path}.edits[{index}]") for index, edit in enumerate(edits)))
        case changes.TuneChange():
            return tuning_of(one, path)
        case changes.ReseedChange(seed=seed):
            return Reseeding(seed)
        case changes.FinalizeChange():
            return Finalizing()
        case changes.SteerChange(steer=steer):
            places = enumerate(steer.opened or ())
            opened = tuple(_opened(place, f"{path}.steer.opened[{index}]") for index, place in places)
            return await steering_of(steer, turns, None if steer.opened is None else opened, rules, f"{path}.steer")


def _placed(edit: changes.CanvasEdit, path: str) -> Edit:
    return Edit(edit.action, edit.slot, _positions(edit, path), tuple(edit.tokens))


def _opened(place: changes.CanvasPlace, path: str) -> Edit:
    return Edit("mask", place.slot, _positions(place, path))


def _positions(place: changes.CanvasPlace, path: str) -> tuple[int, ...]:
    if place.positions is None:
        raise _refused("a change that waits for its step names positions, as omni.canvas.done tells them", path)
    return tuple(place.positions)


def told_changes(record: Record) -> list[changes.CanvasChange]:
    return [_told(dated.at_step, dated.change) for dated in record.changes]


def _told(at_step: int, change: Change) -> changes.CanvasChange:
    match change:
        case Editing(edits=edits):
            return changes.EditChange(at_step=at_step, edits=[_told_edit(edit) for edit in edits])
        case Tuning(steps_left=steps_left, temperature=temperature):
            return changes.TuneChange(at_step=at_step, steps_left=steps_left, temperature=temperature)
        case Reseeding(seed=seed):
            return changes.ReseedChange(at_step=at_step, seed=seed)
        case Finalizing():
            return changes.FinalizeChange(at_step=at_step)
        case Steering(opened=opened, told_as=told_as):
            assert isinstance(told_as, changes.Steer)
            places = [changes.CanvasPlace(slot=edit.slot, positions=list(edit.places)) for edit in opened or ()]
            steer = msgspec.structs.replace(told_as, opened=None if opened is None else places)
            return changes.SteerChange(at_step=at_step, steer=steer)


def _told_edit(edit: Edit) -> changes.CanvasEdit:
    return changes.CanvasEdit(action=edit.action, slot=edit.slot, positions=list(edit.places), tokens=list(edit.tokens))


def _refused(message: str, param: str) -> ProtocolError:
    return ProtocolError(message, code=errors.INVALID_VALUE, param=param)
