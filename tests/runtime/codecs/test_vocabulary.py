import pytest

from runtime.codecs.vocabulary import END_OF_SPEECH, END_OF_TEXT, MASK, TURN_END, TURN_START, Vocabulary


def test_a_compact_vocabulary_has_no_gap_and_no_overlap() -> None:
    vocabulary = Vocabulary.compact(num_text=300, num_speech=8, num_image=16)
    ids = [*range(*vocabulary.text), *vocabulary.special.values(), *range(*vocabulary.speech)]
    assert sorted([*ids, *range(*vocabulary.image)]) == list(range(len(vocabulary)))


EITHER = pytest.mark.parametrize("vocabulary", [Vocabulary.compact(300, 8, 16), Vocabulary.published()])


def may_stand(vocabulary: Vocabulary, modality: str) -> set[int]:
    return set(range(*vocabulary.slot(modality))) - set(vocabulary.forbidden(modality))


@EITHER
@pytest.mark.parametrize("modality", ["text", "speech", "image"])
def test_a_slot_holds_its_content_and_its_ends_and_nothing_else(vocabulary: Vocabulary, modality: str) -> None:
    content = {"text": vocabulary.text, "speech": vocabulary.speech, "image": vocabulary.image}[modality]
    assert may_stand(vocabulary, modality) == {*range(*content), *vocabulary.ends(modality)}


@EITHER
def test_an_answer_may_end_but_not_stay_masked(vocabulary: Vocabulary) -> None:
    assert vocabulary[END_OF_TEXT] in vocabulary.ends("text")
    assert vocabulary[END_OF_SPEECH] in vocabulary.ends("speech")
    assert vocabulary.ends("image") == ()
    assert not any(vocabulary[MASK] in may_stand(vocabulary, modality) for modality in ("text", "speech", "image"))


def test_the_published_model_ends_its_turn_itself() -> None:
    vocabulary = Vocabulary.published()
    assert vocabulary[TURN_END] in vocabulary.ends("text")
    assert vocabulary.forbidden("text") == (vocabulary[TURN_START],)


def test_the_published_ids() -> None:
    vocabulary = Vocabulary.published()
    assert len(vocabulary) == 176_264
    assert vocabulary.mask_id == 151_666
    assert vocabulary.image[1] - vocabulary.image[0] == 8192
    assert vocabulary.speech[1] - vocabulary.speech[0] == 16_384
