"""Beams over a made-up model: four letters that only make words together."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from runtime.diffusion.beam import Beam
from runtime.diffusion.canvas import Canvas, Choice, Slot

A, B, C, D, END, MASK = range(6)
SLOT = Slot("word", "text", 1, 4, (0, 6), 0, ends=(END,))


def canvas(*tokens: int, slot: Slot = SLOT) -> Canvas:
    ids = torch.tensor([A, *(tokens or (MASK,) * 4), A])
    return Canvas(ids, torch.arange(6.0), torch.full((6,), -1), (slot,), MASK)


def of_words(shares: dict[tuple[int, ...], float]) -> Callable[[Canvas], Tensor]:
    """What stands at each open position, by all words that agree with what is there already."""

    def scores(seen: Canvas) -> Tensor:
        stands = seen.tokens_of(SLOT)
        table = torch.full((4, 6), 1e-6)
        for word, share in shares.items():
            if all(there in (MASK, token) for there, token in zip(stands.tolist(), word, strict=True)):
                table[range(4), word] += share
        return (table[stands == MASK] / table[0].sum()).log()

    return scores


def finished(start: Canvas, scores: Callable[[Canvas], Tensor], width: int = 8) -> Beam:
    beam, rounds = Beam.begun(start, start.slots[0], width, END), 0
    while beam.growing:
        beam = beam.advanced([scores(seen) for seen in beam.canvases(start)])
        rounds += 1
    assert rounds <= SLOT.length
    return beam


def words(beam: Beam) -> list[list[int]]:
    return [one.tokens.tolist() for one in beam.hypotheses]


def test_what_is_sure_is_filled_in_one_round() -> None:
    start = canvas()
    beam = Beam.begun(start, SLOT, 8, END).advanced([of_words({(A, B, END, END): 1.0})(start)])
    assert not beam.growing
    assert words(beam) == [[A, B, END, END]]
    assert beam.hypotheses[0].confidence.min() > 0.95


def test_tokens_of_different_words_are_never_mixed() -> None:
    shares = {(A, B, END, END): 0.5, (C, D, END, END): 0.3, (A, D, D, END): 0.2}
    beam = finished(canvas(), of_words(shares))
    assert [tuple(word) for word in words(beam)] == list(shares)  # the likeliest first
    assert [round(one.worth, 2) for one in beam.hypotheses] == [-0.69, -1.2, -1.61]


def test_no_more_than_the_width_and_nothing_unlikely_is_tried() -> None:
    shares = {(A, B, END, END): 0.5, (C, D, END, END): 0.3, (B, D, D, END): 0.1997, (D, D, D, END): 0.0003}
    assert words(finished(canvas(), of_words(shares), width=2)) == [[A, B, END, END], [C, D, END, END]]
    assert [D, D, D, END] not in words(finished(canvas(), of_words(shares)))


def test_what_stands_there_stays() -> None:
    shares = {(A, B, END, END): 0.9, (C, D, END, END): 0.05, (C, B, A, END): 0.05}
    assert sorted(words(finished(canvas(C, MASK, MASK, MASK), of_words(shares)))) == [[C, B, A, END], [C, D, END, END]]


def test_what_all_agree_on_is_known_before_the_rest() -> None:
    start = canvas()
    beam = Beam.begun(start, SLOT, 8, END).advanced([of_words({(A, B, D, END): 0.6, (A, C, D, END): 0.4})(start)])
    assert beam.agreed(start).tokens_of(SLOT).tolist() == [A, MASK, D, END]
    assert len(beam.growing) + len(beam.finished) == 2


def test_evidence_decides_and_confidence_is_what_speaks_for_a_token() -> None:
    start, shares = canvas(), {(A, B, D, END): 0.6, (A, C, D, END): 0.4}
    beam = finished(start, of_words(shares))
    unmoved = beam.filled(start, beam.best([0.0, 0.0]))
    assert unmoved.tokens_of(SLOT).tolist() == [A, B, D, END]
    assert torch.allclose(unmoved.confidence[1:5], torch.tensor([1.0, 0.6, 1.0, 1.0]), atol=1e-3)
    moved = beam.filled(start, beam.best([0.0, 5.0]))
    assert moved.tokens_of(SLOT).tolist() == [A, C, D, END]
    assert moved.confidence[2] > 0.98


def test_a_refusal_is_not_mixed_into_an_answer_nor_is_nothing_said() -> None:
    slot = replace(SLOT, unsure=Choice("no", (C, D, END, END)))
    shares = {(C, D, END, END): 0.7, (A, B, END, END): 0.3}
    assert words(finished(canvas(slot=slot), of_words(shares))) == [[A, B, END, END]]
    silent = {(END, END, END, END): 0.7, (A, B, B, END): 0.3}
    assert all(word[0] == A for word in words(finished(canvas(slot=slot), of_words(silent))))
    shares = {(C, D, END, END): 0.7, (C, A, END, END): 0.3}
    given_start = canvas(C, MASK, MASK, MASK, slot=slot)  # who has begun it himself may have it
    assert words(finished(given_start, of_words(shares))) == [[C, D, END, END], [C, A, END, END]]


def test_forbidden_tokens_are_not_tried() -> None:
    slot = replace(SLOT, forbidden=(B,))
    assert words(finished(canvas(slot=slot), of_words({(A, B, END, END): 0.9, (A, D, END, END): 0.1}))) == [
        [A, D, END, END]
    ]


def test_a_hypothesis_is_put_where_its_slot_is() -> None:
    start = canvas()
    ids = torch.tensor([A, A, A, *[MASK] * 4])
    elsewhere = Canvas(ids, torch.arange(7.0), torch.full((7,), -1), (replace(SLOT, start=3),), MASK)
    beam = Beam.begun(start, SLOT, 8, END).advanced([of_words({(A, B, D, END): 0.6, (A, C, D, END): 0.4})(start)])
    assert all(seen.token_ids[:3].tolist() == [A, A, A] for seen in beam.canvases(elsewhere))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    stands=st.lists(st.sampled_from([A, B, END, MASK, MASK, MASK]), min_size=4, max_size=4),
    width=st.integers(1, 5),
    heat=st.floats(0.1, 20),
)
def test_whatever_the_scores_it_ends_full_and_whole(seed: int, stands: Sequence[int], width: int, heat: float) -> None:
    generator = torch.Generator().manual_seed(seed)

    def scores(seen: Canvas) -> Tensor:
        return heat * torch.randn(seen.num_masked(SLOT), 6, generator=generator)

    start = canvas(*stands)
    assume(MASK in stands)
    beam = finished(start, scores, width)
    assert 1 <= len(beam.hypotheses) <= width
    for tokens in words(beam):
        assert MASK not in tokens
        assert all(there in (MASK, token) for there, token in zip(stands, tokens, strict=True))
    filled = beam.filled(start, beam.best([0.0] * len(beam.hypotheses)))
    assert filled.active_slot is None
    assert ((filled.confidence > 0) & (filled.confidence <= 1)).all()
