import numpy as np

from omnisdk.editing import Box
from omnisdk.fill import Gaps, Repaint
from omnisdk.media import Image
from omnisdk.protocol.settings import GivenImage, GivenText


def test_gaps() -> None:
    assert Gaps("a {mask}", size=2).to_wire() == GivenText(text="a {mask}", slot="text", gap=2)


def test_repaint() -> None:
    wire = Repaint(Image(np.zeros((4, 6, 3), np.uint8)), Box(0, 1, 2, 3)).to_wire()
    assert isinstance(wire, GivenImage)
    assert wire.box == (0, 1, 2, 3)
    assert wire.image_url.mime == "image/png"
