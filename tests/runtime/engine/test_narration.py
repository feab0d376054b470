import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from runtime.codecs.text import TextCodec
from runtime.codecs.vocabulary import END_OF_SPEECH, Vocabulary
from runtime.diffusion.canvas import Canvas
from runtime.engine.narration import Narration, Narrator, Timing
from runtime.engine.prompt import EncodedTurn, lay_out
from runtime.engine.recipe import PROMPT, Recipe, Recorded, SlotRecipe
from tests.support.tiny_model import SENTENCES

SPEECH = SlotRecipe("speech", "speech", length=60, steps=2, says=PROMPT)
READ_ALOUD = Recipe("text_to_speech", (SPEECH,))
ANSWERED = Recipe("spoken", (SlotRecipe("text", "text", 6, 2), SlotRecipe("speech", "speech", 20, 2, says="text")))


@pytest.fixture(scope="module")
def narrator() -> Narrator:
    """A token lasts two codes, three as the last; one code of silence before and two behind."""
    text = TextCodec.train(SENTENCES, 320)
    durations = torch.tensor([2.0, 3.0]).expand(text.num_tokens, 2)
    return Narrator(Timing(durations, (1.0, 2.0)), Vocabulary.compact(text.num_tokens, 32, 8), text)


def laid_out(narrator: Narrator, recipe: Recipe, words: str = "") -> Canvas:
    turns = [EncodedTurn("system", ("you speak",)), EncodedTurn("user", (words,) if words else ())]
    return lay_out(turns, recipe, narrator.vocabulary, narrator.text)


def test_a_narration_tells_which_token_is_said_at_each_code() -> None:
    timing = Timing(torch.tensor([[2.0, 3.0], [4.0, 4.0]]), (1.0, 2.0))
    narration = timing.narration([0, 1, 0])
    assert narration.starts.tolist() == [1, 3, 7]
    assert (narration.stop, narration.length) == (10, 12)
    assert narration.said.tolist() == [-1, 0, 0, 1, 1, 1, 1, 0, 0, 0, -1, -1]


def test_nothing_is_said_of_no_text() -> None:
    narration = Timing(torch.ones(2, 2), (1.0, 2.0)).narration([])
    assert narration.length == 0
    assert narration.said.tolist() == []


def test_times_that_were_measured_need_not_be_whole() -> None:
    narration = Narration(torch.tensor([5, 6]), torch.tensor([0.4, 1.6]), 3.2, 4)
    assert narration.said.tolist() == [5, 5, 6, -1]


def test_words_are_laid_along_a_recording_that_is_slower() -> None:
    narration = Timing(torch.tensor([[2.0, 2.0]]), (1.0, 1.0)).narration([0, 0])
    stretched = narration.along(Recorded(2, 14, again=8, until=14), length=20)
    assert stretched.starts.tolist() == [2, 8]
    assert (stretched.stop, stretched.length) == (14, 20)
    assert len(stretched.said) == 20


def test_what_is_said_anew_is_whole_words_wherever_it_is_open() -> None:
    narration = Timing(torch.tensor([[2.0, 2.0]]), (1.0, 1.0)).narration([0] * 5)
    moved = narration.along(Recorded(1, 11, again=5.7, until=7.4), length=12)
    assert moved.starts.tolist() == pytest.approx([1, 3.35, 5.7, 7.4, 9.2])
    assert moved.stop == 11
    everything = narration.along(Recorded(1, 11, again=0, until=12), length=12)
    assert (float(everything.starts[0]), everything.stop) == (0, 12)
    assert (everything.starts.diff() > 0).all()


@given(
    st.lists(st.floats(0.5, 9), min_size=1, max_size=8),
    st.tuples(*(st.floats(0, 60) for _ in range(4))).map(sorted),
)
def test_words_never_go_back(durations: list[float], places: list[float]) -> None:
    tokens = list(range(len(durations)))
    narration = Timing(torch.tensor(durations)[:, None].expand(-1, 2), (1.0, 1.0)).narration(tokens)
    first, again, until, stop = places
    moved = narration.along(Recorded(first, stop, again, until), length=60)
    bounds = [*moved.starts.tolist(), moved.stop]
    assert bounds == sorted(bounds)
    assert bounds[0] >= first - 1e-3
    assert bounds[-1] <= stop + 1e-3


def test_what_is_pinned_stays_when_the_words_are_known(narrator: Narrator) -> None:
    canvas = laid_out(narrator, ANSWERED)
    text, speech = canvas.slots
    code = narrator.vocabulary.speech[0] + 5
    kept = torch.tensor([speech.start + 2, speech.start + 15])
    canvas = canvas.fill(kept, torch.tensor([code, code]), torch.ones(2)).pin(kept)
    end = narrator.vocabulary.ends("text")[0]
    words = torch.tensor([*narrator.text.encode("a dog"), *[end] * text.length][: text.length])
    laid = narrator.laid(canvas.fill(torch.arange(text.length) + text.start, words, torch.ones(text.length)), ANSWERED)
    assert laid.token_ids[kept].tolist() == [code, code]
    assert laid.pinned[kept].all()
    assert laid.spoken[speech.start + 2] >= 0
    assert narrator.laid(laid, ANSWERED) is laid


def test_what_the_user_wrote_is_as_long_as_it_takes(narrator: Narrator) -> None:
    tokens = narrator.text.encode("a cat above a dog")
    recipe = narrator.settled(READ_ALOUD, "a cat above a dog")
    assert recipe.slots[0].length == 1 + 2 * len(tokens) + 1 + 2
    assert narrator.settled(READ_ALOUD, "a cat " * 40).slots[0].length == 60
    assert narrator.settled(READ_ALOUD, "").slots[0].length == 1


def test_written_words_lie_along_the_speech(narrator: Narrator) -> None:
    words = "a cat above a dog"
    tokens = narrator.text.encode(words)
    recipe = narrator.settled(READ_ALOUD, words)
    canvas = narrator.laid(laid_out(narrator, recipe, words), recipe)
    (slot,) = canvas.slots
    assert canvas.spoken[slot.start].item() == -1
    assert canvas.spoken[slot.start + 1 : slot.start + 5].tolist() == [tokens[0]] * 2 + [tokens[1]] * 2
    assert bool((canvas.spoken[: slot.start] == -1).all())
    where = [int((canvas.token_ids[: slot.start] == token).nonzero()[-1]) for token in tokens[1:3]]
    begins = canvas.positions[slot.start]
    assert (canvas.positions[where] - begins).tolist() == [3, 5]
    assert canvas.num_masked(slot) == slot.length
    # Its end is known, so none is chosen.
    assert set(slot.ends) <= set(slot.forbidden)


def test_an_answer_is_laid_out_once_its_words_stand(narrator: Narrator) -> None:
    canvas = laid_out(narrator, ANSWERED)
    text, speech = canvas.slots
    assert narrator.laid(canvas, ANSWERED) is canvas

    def answered(words: str) -> Canvas:
        ids = narrator.text.encode(words)
        end = narrator.vocabulary.ends("text")[0]
        tokens = torch.tensor(ids + [end] * (text.length - len(ids)))
        return canvas.fill(torch.arange(text.length) + text.start, tokens, torch.ones(text.length))

    laid = narrator.laid(answered("a dog"), ANSWERED)
    num_tokens = len(narrator.text.encode("a dog"))
    length = 1 + 2 * num_tokens + 1 + 2
    assert laid.num_masked(speech) == length
    tail = laid.token_ids[speech.start + length : speech.start + speech.length]
    assert bool((tail == narrator.vocabulary[END_OF_SPEECH]).all())
    assert narrator.laid(laid, ANSWERED) is laid
    # Other words are laid anew.
    other = narrator.laid(answered("a"), ANSWERED)
    assert other.num_masked(speech) < length


def test_an_empty_answer_says_nothing(narrator: Narrator) -> None:
    canvas = laid_out(narrator, ANSWERED)
    text, speech = canvas.slots
    ends = torch.full((text.length,), narrator.vocabulary.ends("text")[0])
    canvas = canvas.fill(torch.arange(text.length) + text.start, ends, torch.ones(text.length))
    laid = narrator.laid(canvas, ANSWERED)
    assert laid.num_masked(speech) == 0
    assert len(laid.said(speech)) == 0
    assert narrator.laid(laid, ANSWERED) is laid


def test_a_text_longer_than_its_slot_is_said_as_far_as_there_is_room(narrator: Narrator) -> None:
    words = "a cat above a dog " * 20
    recipe = narrator.settled(READ_ALOUD, words)
    canvas = narrator.laid(laid_out(narrator, recipe, words), recipe)
    (slot,) = canvas.slots
    assert canvas.num_masked(slot) == 60
    assert int((canvas.spoken >= 0).sum()) == 59
