"""What stands in an answer before it is begun: words around gaps, a picture around a region to be painted anew."""

from __future__ import annotations

from dataclasses import dataclass

from omnisdk.editing import Box
from omnisdk.media import Image
from omnisdk.protocol import settings
from omnisdk.protocol.limits import MAX_IMAGE_BYTES
from omnisdk.protocol.picture import Picture


@dataclass(frozen=True)
class Gaps:
    """Words of the answer, "{mask}" where the model fills in `size` tokens: Gaps("two {mask} on a {mask}")."""

    text: str
    size: int = 1
    slot: str = "text"

    def to_wire(self) -> settings.Given:
        """As it is sent."""
        return settings.GivenText(text=self.text, slot=self.slot, gap=self.size)


@dataclass(frozen=True)
class Repaint:
    """A picture of which the model paints a region anew: Repaint(image, Box(0, 0, 40, 80)), in its pixels."""

    image: Image
    box: Box
    slot: str = "image"

    def to_wire(self) -> settings.Given:
        """As it is sent."""
        return settings.GivenImage(image_url=Picture(self.image.encoded(MAX_IMAGE_BYTES)), slot=self.slot, box=self.box)
