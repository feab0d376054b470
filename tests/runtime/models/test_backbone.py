import pytest
import torch

from runtime.models.backbone import (
    Backbone,
    BackboneConfig,
    padding_bias,
    reference_segment_bias,
    segment_bias,
    within_runs,
)


@pytest.fixture(scope="module")
def small() -> Backbone:
    torch.manual_seed(0)
    return Backbone(BackboneConfig(60, 32, 48, 2, 4, 2, image_grid=3)).eval()


@torch.inference_mode()
def test_padding_is_unseen(small: Backbone) -> None:
    ids = torch.randint(0, 60, (2, 9))
    bias = padding_bias(torch.tensor([6, 9]), 9, torch.float32)
    padded = small.hidden(small.embed(ids), bias=bias)
    torch.testing.assert_close(padded[0, :6], small.hidden(small.embed(ids[:1, :6]))[0])
    assert padding_bias(torch.tensor([9, 9]), 9, torch.float32) is None


@torch.inference_mode()
def test_every_position_sees_every_other(small: Backbone) -> None:
    ids = torch.randint(0, 60, (1, 8))
    changed = ids.clone()
    changed[0, 7] = (changed[0, 7] + 1) % 60
    assert not torch.allclose(small(ids)[0, 0], small(changed)[0, 0])


@torch.inference_mode()
def test_only_distances_between_positions_count_and_fractions_are_allowed(small: Backbone) -> None:
    embedded = small.embed(torch.randint(0, 60, (1, 8)))
    positions = torch.arange(8)[None] * 0.5
    hidden = small.hidden(embedded, positions)
    torch.testing.assert_close(hidden, small.hidden(embedded, positions + 3.25), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(hidden, small.hidden(embedded))


@torch.inference_mode()
def test_picture_positions_know_their_row_and_column(small: Backbone) -> None:
    ids = torch.full((1, 4), 7)
    embedded = small.embed(ids, torch.tensor([[-1, 0, 5, 8]]))[0]
    rows, columns = small.model.image_row_embeddings.weight, small.model.image_column_embeddings.weight
    plain = small.embed(ids)[0]
    torch.testing.assert_close(
        embedded - plain, torch.stack([0 * rows[0], rows[0] + columns[0], rows[1] + columns[2], rows[2] + columns[2]])
    )


@torch.inference_mode()
def test_scores_are_those_of_a_part_of_the_vocabulary(small: Backbone) -> None:
    ids = torch.randint(0, 60, (1, 8))
    scores = small.scores(small.hidden(small.embed(ids))[0, [0, 6]], slice(10, 20))
    torch.testing.assert_close(scores, small(ids)[0, [0, 6], 10:20])


@torch.inference_mode()
def test_rows_alone_come_out_as_among_all(small: Backbone) -> None:
    ids, lengths = torch.randint(0, 60, (2, 9)), torch.tensor([9, 6])
    embedded, bias = small.embed(ids), padding_bias(lengths, 9, torch.float32)
    positions = torch.arange(9.0).expand(2, 9) * 0.75
    rows = torch.tensor([[8, 0, 3], [5, 2, 0]])
    everything = small.hidden(embedded, positions, bias)
    expected = torch.stack([everything[i, of_one] for i, of_one in enumerate(rows)])
    torch.testing.assert_close(small.hidden(embedded, positions, bias, rows), expected)


def test_tied_embeddings_are_one_tensor() -> None:
    tied = Backbone(BackboneConfig(60, 32, 48, 1, 2, 1, tie_word_embeddings=True))
    assert tied.lm_head.weight is tied.model.embed_tokens.weight


PACKED = torch.tensor([[0, 1, 2, 0, 1, 2, 3]])
REAL = torch.tensor([[True] * 5 + [False] * 2])


def test_a_packed_segment_sees_itself_alone_and_no_padding() -> None:
    seen = (segment_bias(PACKED, torch.float32, REAL)[0, 0] == 0).int().tolist()
    first, second = [1, 1, 1, 0, 0, 0, 0], [0, 0, 0, 1, 1, 0, 0]
    assert seen == [first, first, first, second, second, [0] * 5 + [1, 0], [0] * 6 + [1]]


def test_as_published_the_last_segment_sees_the_padding_which_sees_nothing() -> None:
    seen = (reference_segment_bias(PACKED, torch.float32, REAL)[0, 0] == 0).int().tolist()
    first, last = [1, 1, 1, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1, 1]
    assert seen == [first, first, first, last, last, [0] * 7, [0] * 7]


@torch.inference_mode()
def test_a_segment_scores_as_it_would_alone(small: Backbone) -> None:
    ids = torch.randint(0, 60, (1, 7))
    packed = small.hidden(small.embed(ids), PACKED, segment_bias(PACKED, torch.float32, REAL))
    torch.testing.assert_close(packed[:, :3], small.hidden(small.embed(ids[:, :3])))
    torch.testing.assert_close(packed[:, 3:5], small.hidden(small.embed(ids[:, 3:5])))


def test_a_position_of_speech_knows_how_far_it_is_into_its_token() -> None:
    since, until = within_runs(torch.tensor([[-1, 5, 5, 5, 7, 5, 5], [3, 3, -1, -1, 4, 4, 4]]))
    assert since.tolist() == [[0, 0, 1, 2, 0, 0, 1], [0, 1, 0, 1, 0, 1, 2]]
    assert until.tolist() == [[0, 2, 1, 0, 0, 1, 0], [1, 0, 1, 0, 2, 1, 0]]


@torch.inference_mode()
def test_places_in_a_token_are_told_apart_where_the_model_learns_them() -> None:
    torch.manual_seed(0)
    ids, spoken = torch.full((1, 6), 4), torch.tensor([[-1, 9, 9, 9, 9, -1]])
    plain, placing = (Backbone(BackboneConfig(60, 32, 48, 1, 4, 2, spoken_offsets=n)) for n in (0, 3))
    first, second, third, last = plain.embed(ids, spoken=spoken)[0, 1:5]
    assert torch.equal(first, second)
    first, second, third, last = placing.embed(ids, spoken=spoken)[0, 1:5]
    assert not torch.equal(first, second)
    assert not torch.equal(third, last)
    assert torch.equal(placing.embed(ids, spoken=spoken)[0, 0], placing.embed(ids)[0, 0])  # nothing is said there
