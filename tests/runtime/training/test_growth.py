import pytest
import torch

from runtime.codecs.vocabulary import Vocabulary
from runtime.models.backbone import Backbone, BackboneConfig
from runtime.training.growth import grown, moved_rows, places_of_layers

BEFORE, AFTER = Vocabulary.compact(20, 0, 8), Vocabulary.compact(20, 5, 8)


def tiny(vocabulary: Vocabulary, layers: int) -> Backbone:
    config = BackboneConfig(len(vocabulary), 16, 24, layers, 2, 1, 10_000.0, tie_word_embeddings=True, image_grid=2)
    return Backbone(config)


@pytest.mark.parametrize(("before", "after"), [(1, 1), (2, 3), (5, 7), (3, 6), (1, 4)])
def test_old_layers_keep_their_order(before: int, after: int) -> None:
    places = places_of_layers(before, after)
    assert places == sorted(set(places))
    assert places[0] == 0
    assert places[-1] < after


def test_a_larger_model_begins_as_the_small_one() -> None:
    torch.manual_seed(0)
    small, large = tiny(BEFORE, 2), tiny(AFTER, 3)
    large.load_state_dict(grown(small.state_dict(), BEFORE, large.state_dict(), AFTER))
    shift = AFTER.image[0] - BEFORE.image[0]
    ids = torch.tensor([[1, 19, 20, 28, BEFORE.image[0], BEFORE.image[1] - 1]])
    moved = torch.where(ids >= BEFORE.image[0], ids + shift, ids)
    told, same = small(ids), large(moved)
    assert torch.allclose(told[..., : BEFORE.image[0]], same[..., : BEFORE.image[0]], atol=1e-5)
    assert torch.allclose(told[..., BEFORE.image[0] :], same[..., AFTER.image[0] :], atol=1e-5)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="3 layers cannot be taken over into one of 2"):
        places_of_layers(3, 2)
    with pytest.raises(ValueError, match="8 ids do not go into a range of 4"):
        moved_rows(torch.zeros(len(BEFORE), 2), BEFORE, torch.zeros(33, 2), Vocabulary.compact(20, 0, 4))
