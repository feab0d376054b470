import numpy as np

from clients.terminal.filmstrip import COLUMNS, FRAME_SIDE, GAP, Frame, draw_filmstrip, evenly_chosen
from omnisdk.media import FOG, Image, PreviewImage


def plain(colour: tuple[int, int, int]) -> Image:
    return Image(np.full((4, 4, 3), colour, np.uint8))


def frames(count: int) -> list[Frame]:
    return [Frame(plain((index, 0, 0)), index + 1, count, (index + 1) / count) for index in range(count)]


def test_first_and_last_are_always_chosen() -> None:
    chosen = evenly_chosen(frames(40), 12)
    assert len(chosen) == 12
    assert (chosen[0].step, chosen[-1].step) == (1, 40)
    assert len({frame.step for frame in chosen}) == 12
    assert evenly_chosen(frames(3), 12) == frames(3)


def test_frames_stand_in_rows() -> None:
    one_row = draw_filmstrip(frames(COLUMNS), "two red apples")
    two_rows = draw_filmstrip(frames(COLUMNS + 1), "two red apples")
    assert one_row.size[0] == two_rows.size[0] == GAP + COLUMNS * (FRAME_SIDE + GAP)
    assert two_rows.size[1] > one_row.size[1]


def test_masked_cells_are_shown_as_fog() -> None:
    mask = np.array([[True, False]])
    preview = PreviewImage(plain((255, 0, 0)).png, mask, np.zeros((1, 2), np.float32))
    sheet = draw_filmstrip([Frame(preview, 1, 2, 0.5)], "").pixels
    row = sheet[sheet.shape[0] // 2]
    left, right = row[GAP + FRAME_SIDE // 4], row[GAP + 3 * FRAME_SIDE // 4]
    assert np.abs(left.astype(int) - FOG).max() < 40
    assert right.tolist() == [255, 0, 0]


def test_a_long_caption_is_cut() -> None:
    short = draw_filmstrip(frames(2), "x")
    assert draw_filmstrip(frames(2), "very long words " * 50).size == short.size
