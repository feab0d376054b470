"""An answer laid out by hand: which parts it has, what of them is known, what the model fills in.

Canvas(Text("The {mask} sat on the {mask}."))
Canvas(Image("room.png", mask=Box(10, 10, 60, 60)), prompt="a cat")
Canvas(Speech("order.wav", mask=Span(1.2, 1.8)), prompt="two")
Canvas(Text(max_tokens=20), Image(), Speech(max_seconds=3), prompt="a story about a fox")
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from omnisdk.conversation import PartLike, Text, item_to_wire, new_item
from omnisdk.editing import Box, Region, Span
from omnisdk.errors import SettingsError
from omnisdk.media import Image, Speech
from omnisdk.media.io import is_between
from omnisdk.protocol import items, settings
from omnisdk.protocol.limits import MAX_IMAGE_BYTES, WIRE_SAMPLE_RATE_HZ
from omnisdk.protocol.picture import Picture

Part = Text | Image | Speech


@dataclass(frozen=True, init=False)
class Canvas:
    """Parts of one answer, each conditioned on those before it, or on all of them where they form `together`.

    Text: "{mask}" is where the model fills in `gap` tokens each. Image and Speech with a source have a mask, what of
    them is made anew; without one they are made whole. Speech says the text before it, else the words of the prompt,
    as far as they fit into its max_seconds. prompt: what is asked for, words or parts; None for nothing.
    Raises SettingsError.
    """

    parts: tuple[Part, ...]
    prompt: tuple[PartLike, ...]
    together: bool

    def __init__(
        self, *parts: str | Part, prompt: PartLike | Sequence[PartLike] | None = None, together: bool = False
    ) -> None:
        if prompt is not None and not isinstance(prompt, PartLike | Sequence):
            raise SettingsError(f"prompt={prompt!r} came; give words, Image(...), Speech(...), or several of them")
        if not parts:
            raise SettingsError("a canvas has no parts; give Text(...), Image(...) or Speech(...)")
        asked = () if prompt is None else (prompt,) if isinstance(prompt, PartLike) else tuple(prompt)
        object.__setattr__(self, "parts", tuple(Text(part) if isinstance(part, str) else part for part in parts))
        object.__setattr__(self, "prompt", asked)
        object.__setattr__(self, "together", together)
        for part in self.parts:
            _check(part)

    def slots(self) -> list[settings.CanvasSlot]:
        """As they are laid out."""
        return [
            settings.CanvasSlot(
                slot=_name(part), length=_length(part), max_ms=_max_ms(part), beside=self.together and index > 0
            )
            for index, part in enumerate(self.parts)
        ]

    def given(self) -> list[settings.Given]:
        """What of them is known."""
        return [given for part in self.parts if (given := _given(part)) is not None]

    def request(self) -> items.Item:
        """The turn that asks for it."""
        if not self.prompt:
            return items.Message(role="user", content=[items.InputText(text="")])
        return item_to_wire(new_item("user", *self.prompt))


def _check(part: Part) -> None:
    if isinstance(part, Text):
        return
    if not isinstance(part, Image | Speech):
        raise SettingsError(f"{part!r} came as a part of a canvas; give Text(...), Image(...) or Speech(...)")
    if isinstance(part, Speech) and part.max_seconds is not None:
        _check_bound(part, part.max_seconds)
    masks = Span if isinstance(part, Speech) else Box | Region
    if part.opened is not None and not isinstance(part.opened, masks):
        kinds = "Span(...)" if isinstance(part, Speech) else "Box(...) or Region(...)"
        raise SettingsError(f"{_name(part)} came with mask={part.opened!r}; give {kinds}")
    if not part.blank and part.opened is not None:
        _check_inside(part)
    if part.blank and part.opened is not None:
        raise SettingsError(f"{_name(part)} has a mask and no source; give what it is a mask of")
    if not part.blank and part.opened is None:
        raise SettingsError(
            f"{_name(part)} came without a mask; say with mask=... what of it is made anew, or give it in prompt=..."
        )


def _check_inside(part: Image | Speech) -> None:
    """Whether the mask lies in what it is a mask of."""
    if isinstance(part, Speech):
        assert part.opened is not None
        start_s, end_s = part.opened
        if not 0 <= start_s < end_s <= part.duration_s:
            raise SettingsError(
                f"speech came with mask={part.opened}; it is {part.duration_s:.2f} s long: give a beginning and a "
                "later end within it"
            )
        return
    width, height = part.size
    if isinstance(part.opened, Box):
        left, top, right, bottom = part.opened
        if not (0 <= left < right <= width and 0 <= top < bottom <= height):
            raise SettingsError(
                f"image came with mask={part.opened}; it is {width} x {height} px: give left, top, right, bottom "
                "inside of it, the last two greater"
            )
    elif isinstance(part.opened, Region) and part.opened.inside.shape != (height, width):
        rows, columns = part.opened.inside.shape
        raise SettingsError(f"image came with a mask of {columns} x {rows}; it is {width} x {height} px: give as many")


def _check_bound(part: Speech, max_seconds: float) -> None:
    if not part.blank:
        raise SettingsError(
            "max_seconds came with a recording, which stays as long as it is; give Speech(max_seconds=...)"
        )
    if not is_between(max_seconds, 0.001, 3600):
        raise SettingsError(f"max_seconds={max_seconds!r} came; give seconds, more than 0")


def _name(part: Part) -> str:
    return "text" if isinstance(part, Text) else "image" if isinstance(part, Image) else "speech"


def _length(part: Part) -> int | None:
    return part.max_tokens if isinstance(part, Text) else None


def _max_ms(part: Part) -> int | None:
    return round(1000 * part.max_seconds) if isinstance(part, Speech) and part.max_seconds is not None else None


def _given(part: Part) -> settings.Given | None:
    if isinstance(part, Text):
        return settings.GivenText(text=part.text, gap=part.gap) if part.text else None
    if part.blank:
        return None
    if isinstance(part, Speech):
        assert part.opened is not None
        start_s, end_s = part.opened
        pcm = part.resampled(WIRE_SAMPLE_RATE_HZ).pcm.astype("<i2").tobytes()
        return settings.GivenSpeech(audio=pcm, ms=(1000 * start_s, 1000 * end_s))
    mask = part.opened
    return settings.GivenImage(
        image_url=Picture(part.encoded(MAX_IMAGE_BYTES)),
        box=mask if isinstance(mask, Box) else None,
        mask_url=Picture(mask.png) if isinstance(mask, Region) else None,
    )
