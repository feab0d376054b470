import numpy as np
import pytest
import torch

from runtime.codecs.image import ImageCodec
from runtime.codecs.speech_stream import StreamingSpeechDecoder
from runtime.codecs.vocabulary import END_OF_TEXT
from runtime.diffusion.canvas import Canvas, Slot
from runtime.engine.output import SlotState
from runtime.engine.preview import Previewer, grid
from tests.support.tiny_model import tiny_model
from tests.support.tiny_voice import tiny_voice

MODEL = tiny_model()
V = MODEL.vocabulary
PREVIEWER = Previewer(V, MODEL.text, ImageCodec(MODEL.image_tokenizer, MODEL.image_size_px))
M, END = V.mask_id, V[END_OF_TEXT]
RED, APPLES = MODEL.text.encode("red"), MODEL.text.encode("apples")


def text_canvas(*tokens: int) -> Canvas:
    slot = Slot("text", "text", 1, len(tokens), V.slot("text"), 0, V.forbidden("text"), V.ends("text"))
    ids = torch.tensor([0, *tokens])
    return Canvas(ids, torch.arange(len(ids)).float(), torch.full((len(ids),), -1), (slot,), M)


def image_canvas(*tokens: int) -> Canvas:
    slot = Slot("image", "image", 1, len(tokens), V.image, 0)
    ids = torch.tensor([0, *tokens])
    return Canvas(ids, torch.arange(len(ids)).float(), torch.arange(-1, len(tokens)), (slot,), M)


def read(*tokens: int) -> str:
    canvas = text_canvas(*tokens)
    return PREVIEWER.read(canvas, canvas.slots[0]).text


def test_a_masked_position_is_a_block() -> None:
    assert read(M, M, M) == "▒▒▒"
    assert read(M, *RED, M, *APPLES) == "▒ red▒ apples"


def test_text_ends_at_its_first_end_and_blanks_around_it_are_gone() -> None:
    assert read(*RED, *APPLES, END, END) == "red apples"
    assert read(*RED, M, END, M, M) == "red▒"
    assert read(END, END) == ""


def test_what_is_complete_reads_as_the_codec_reads_it() -> None:
    tokens = MODEL.text.encode("draw a 漢 🙂 dog")
    assert read(*tokens) == "draw a 漢 🙂 dog"


def test_spans_cover_the_text_in_order() -> None:
    tokens = [*RED, M, M, *MODEL.text.encode("a 漢 dog"), END]
    canvas = text_canvas(*tokens)
    reading = PREVIEWER.read(canvas, canvas.slots[0])
    assert "".join(reading.text[span.start : span.end] for span in reading.spans) == reading.text
    assert [span.start for span in reading.spans[1:]] == [span.end for span in reading.spans[:-1]]
    masked = [span for span in reading.spans if span.masked]
    assert [(reading.text[span.start : span.end], span.confidence) for span in masked] == [("▒▒", 0.0)]


def test_a_span_is_as_sure_as_its_token() -> None:
    canvas = text_canvas(*[M] * (len(RED) + len(APPLES)))
    canvas = canvas.fill(torch.arange(1, 1 + len(RED)), torch.tensor(RED), torch.full((len(RED),), 0.25))
    canvas = canvas.fill(
        torch.arange(1 + len(RED), len(canvas)), torch.tensor(APPLES), torch.full((len(APPLES),), 0.75)
    )
    reading = PREVIEWER.read(canvas, canvas.slots[0])
    assert {reading.text[s.start : s.end]: s.confidence for s in reading.spans} == {"red": 0.25, " apples": 0.75}


def test_a_snapshot_does_not_change_when_the_canvas_goes_on() -> None:
    canvas = text_canvas(*RED, M)
    state = PREVIEWER.state(canvas, canvas.slots[0])
    assert state.tokens.tolist() == [*RED, -1]
    assert state.masked.tolist() == [False] * len(RED) + [True]
    assert not state.complete
    canvas.token_ids[-1] = 5
    assert state.tokens[-1] == -1


def test_a_picture_has_its_grid_before_it_is_begun() -> None:
    canvas = image_canvas(M, M, M, M)
    assert PREVIEWER.state(canvas, canvas.slots[0]).grid == (2, 2)


def test_masked_cells_show_the_guess() -> None:
    first = V.image[0]
    canvas = image_canvas(first + 1, M, first + 3, M)
    guesses = torch.tensor([first + 9, first + 2, first + 9, first + 60])
    painted = PREVIEWER.paint(canvas, canvas.slots[0], guesses)
    expected = PREVIEWER.image.decode(torch.tensor([[1, 2], [3, 60]]))
    assert np.array_equal(painted, expected)


def test_a_whole_picture_needs_no_guesses() -> None:
    first = V.image[0]
    canvas = image_canvas(first + 1, first + 2, first + 3, first + 60)
    expected = PREVIEWER.image.decode(torch.tensor([[1, 2], [3, 60]]))
    assert np.array_equal(PREVIEWER.paint(canvas, canvas.slots[0], None), expected)


def test_a_picture_is_square() -> None:
    with pytest.raises(ValueError, match="'image' has 5 positions"):
        grid(Slot("image", "image", 0, 5, V.image, 0))


class TestSpeaking:
    SPEAKING = tiny_model(num_speech=32)

    def slot_of(self, canvas: Canvas, voice: StreamingSpeechDecoder | None) -> SlotState:
        model = self.SPEAKING
        image = ImageCodec(model.image_tokenizer, model.image_size_px)
        return Previewer(model.vocabulary, model.text, image, voice).state(canvas, canvas.slots[0])

    def canvas(self, known: int, length: int = 40) -> Canvas:
        v = self.SPEAKING.vocabulary
        ids = [0, *(v.speech[0] + i % 32 for i in range(known)), *[v.mask_id] * (length - known)]
        slot = Slot("speech", "speech", 1, length, v.slot("speech"), 0)
        return Canvas(
            torch.tensor(ids), torch.arange(len(ids)).float(), torch.full((len(ids),), -1), (slot,), v.mask_id
        )

    def test_stretches_together_are_as_long_as_the_whole(self) -> None:
        voice = tiny_voice()
        speaker = self.slot_of(self.canvas(0), voice).speaker
        assert speaker is not None
        said = speaker()
        pieces = [said.push(self.slot_of(self.canvas(known), voice)).pcm for known in (said.hop, 30, 40)]
        assert len(pieces[0]) > 0
        whole = self.slot_of(self.canvas(40), voice).speech
        assert whole is not None
        assert sum(map(len, pieces)) == len(whole.pcm)
        assert len(said.push(self.slot_of(self.canvas(40), voice)).pcm) == 0  # nothing is said twice

    def test_only_the_settled_beginning_is_said(self) -> None:
        voice = tiny_voice()
        canvas = self.canvas(40).reopen(torch.tensor([4]))
        slot = self.slot_of(canvas, voice)
        assert slot.settled == 3
        assert slot.speech is None
        assert slot.speaker is not None
        assert len(slot.speaker().push(slot).pcm) == 0

    def test_a_model_without_a_voice_says_nothing(self) -> None:
        slot = self.slot_of(self.canvas(40), None)
        assert (slot.sound, slot.speaker, slot.speech) == (None, None, None)
