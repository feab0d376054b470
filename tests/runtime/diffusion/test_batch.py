import torch

from runtime.diffusion.batch import Batch
from runtime.diffusion.canvas import Canvas, SpeechRows


def canvas(length: int, speech: tuple[SpeechRows, ...] = ()) -> Canvas:
    return Canvas(torch.arange(1, length + 1), torch.arange(length) / 2, torch.arange(length), (), 99, speech)


def test_shorter_canvases_are_padded_and_their_length_kept() -> None:
    batch = Batch.of([canvas(2), canvas(4)])
    assert batch.token_ids.tolist() == [[1, 2, 0, 0], [1, 2, 3, 4]]
    assert batch.positions.tolist() == [[0, 0.5, 0, 0], [0, 0.5, 1, 1.5]]
    assert batch.image_cells.tolist() == [[0, 1, -1, -1], [0, 1, 2, 3]]
    assert batch.lengths.tolist() == [2, 4]


def test_speech_rows_stand_where_their_canvas_has_them() -> None:
    spoken = SpeechRows(1, torch.full((2, 3), 7.0))
    embedded = Batch.of([canvas(4), canvas(4, (spoken,))]).put_speech(torch.zeros(2, 4, 3))
    assert embedded[0].count_nonzero() == 0
    assert embedded[1, :, 0].tolist() == [0, 7, 7, 0]
