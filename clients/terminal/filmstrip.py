"""One picture that shows how the answer formed: its partial states side by side, labelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

from omnisdk.media import Image, PreviewImage

FRAME_SIDE = 144
GAP = 12
LABEL_HEIGHT = 26
CAPTION_HEIGHT = 34
COLUMNS = 6
MAX_FRAMES = 12
MAX_CAPTION = 160  # characters
INK, FAINT, PAPER = (28, 30, 34), (110, 114, 122), (250, 250, 248)


@dataclass(frozen=True)
class Frame:
    """One state of the picture: after `step` of `steps`, with the share of cells unmasked."""

    image: Image
    step: int
    steps: int
    unmasked_ratio: float


def draw_filmstrip(frames: Sequence[Frame], caption: str) -> Image:
    """A sheet of at most 12 of the frames, first and last among them, under a caption."""
    chosen = evenly_chosen(frames, MAX_FRAMES)
    columns = min(COLUMNS, len(chosen))
    rows = -(-len(chosen) // columns)
    width = GAP + columns * (FRAME_SIDE + GAP)
    sheet = PilImage.new("RGB", (width, CAPTION_HEIGHT + rows * (FRAME_SIDE + LABEL_HEIGHT + GAP)), PAPER)
    brush = ImageDraw.Draw(sheet)
    brush.text((GAP, 9), _fitting(caption, brush, width - 2 * GAP), INK, _font(16))
    for index, frame in enumerate(chosen):
        left = GAP + index % columns * (FRAME_SIDE + GAP)
        top = CAPTION_HEIGHT + index // columns * (FRAME_SIDE + LABEL_HEIGHT + GAP)
        sheet.paste(_framed(frame.image).pil(), (left, top))
        label = f"step {frame.step}/{frame.steps}  {frame.unmasked_ratio:.0%} unmasked"
        brush.text((left, top + FRAME_SIDE + 5), label, FAINT, _font(11))
    return Image(sheet)


def evenly_chosen(frames: Sequence[Frame], at_most: int) -> list[Frame]:
    """`at_most` of the frames, evenly spaced, always with the first and the last."""
    if len(frames) <= at_most:
        return list(frames)
    last = len(frames) - 1
    return [frames[round(index * last / (at_most - 1))] for index in range(at_most)]


def _framed(image: Image) -> Image:
    visible = image.fogged() if isinstance(image, PreviewImage) else image
    return visible.resized(FRAME_SIDE, FRAME_SIDE, smooth=False)


def _fitting(text: str, brush: ImageDraw.ImageDraw, width: int) -> str:
    font = _font(16)
    if len(text) <= MAX_CAPTION and brush.textlength(text, font) <= width:
        return text
    text = text[:MAX_CAPTION]
    while text and brush.textlength(text + "...", font) > width:
        text = text[:-1]
    return text + "..."


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
