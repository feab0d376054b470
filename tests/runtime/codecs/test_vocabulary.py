from runtime.codecs.vocabulary import END_OF_TEXT, MASK, SPECIAL_TOKENS, Vocabulary


def test_a_compact_vocabulary_has_no_gap_and_no_overlap() -> None:
    vocabulary = Vocabulary.compact(num_text=300, num_speech=8, num_image=16)
    ids = [*range(*vocabulary.text), *vocabulary.special.values(), *range(*vocabulary.speech)]
    assert sorted([*ids, *range(*vocabulary.image)]) == list(range(len(vocabulary)))


def test_a_text_slot_may_end_but_not_stay_masked() -> None:
    for vocabulary in (Vocabulary.compact(300, 0, 16), Vocabulary.published()):
        allowed = range(*vocabulary.text_slot)
        assert vocabulary[END_OF_TEXT] in allowed
        assert [name for name in SPECIAL_TOKENS if vocabulary[name] in allowed] == [END_OF_TEXT]
        assert vocabulary.mask_id == vocabulary[MASK]


def test_the_published_ids() -> None:
    vocabulary = Vocabulary.published()
    assert len(vocabulary) == 176_264
    assert vocabulary.mask_id == 151_666
    assert vocabulary.image[1] - vocabulary.image[0] == 8192
    assert vocabulary.speech[1] - vocabulary.speech[0] == 16_384
