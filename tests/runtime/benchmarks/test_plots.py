from pathlib import Path

from PIL import Image

from runtime.benchmarks.plots import Panel, draw


def test_panels_stand_side_by_side(tmp_path: Path) -> None:
    panel = Panel("a", "x", "y", {"one": [(0, 1), (1, 2)], "two": [(0, 2)]})
    draw([panel], tmp_path / "deep" / "one.png")
    draw([panel, panel], tmp_path / "two.png")
    with Image.open(tmp_path / "deep" / "one.png") as one, Image.open(tmp_path / "two.png") as two:
        assert two.size == (2 * one.width, one.height)
