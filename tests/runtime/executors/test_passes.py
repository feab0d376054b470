import pytest
import torch

from runtime.diffusion.canvas import Canvas, SpeechRows
from runtime.executors.executor import ForwardItem
from runtime.executors.passes import passes_of
from runtime.models.backbone import Backbone, BackboneConfig

VOCAB, HIDDEN = 50, 32
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    torch.manual_seed(0)
    return Backbone(BackboneConfig(VOCAB, HIDDEN, 48, 2, 2, 1)).eval()


def canvas(length: int, *speech: SpeechRows) -> Canvas:
    tokens = torch.randint(0, VOCAB, (length,), generator=torch.Generator().manual_seed(length))
    return Canvas(tokens, torch.arange(length) * 0.75, torch.full((length,), -1), (), VOCAB, speech)


def items() -> list[ForwardItem]:
    short, long = canvas(7), canvas(20, SpeechRows(2, torch.ones(3, HIDDEN)))
    return [
        ForwardItem(long, torch.tensor([19, 4]), (0, VOCAB)),
        ForwardItem(short, torch.tensor([1, 6]), (10, 20)),
        ForwardItem(long, torch.tensor([8, 9, 10]), (0, 5)),
    ]


@torch.inference_mode()
def test_alone_and_together_give_the_same_scores(backbone: Backbone) -> None:
    together, alone = passes_of(items(), together=True), passes_of(items(), together=False)
    assert (len(together), len(alone)) == (1, 2)
    padded = together[0].run(backbone, CPU)
    single = alone[0].run(backbone, CPU) | alone[1].run(backbone, CPU)
    assert padded.keys() == single.keys() == {0, 1, 2}
    for index, item in enumerate(items()):
        assert single[index].shape == (len(item.rows), item.vocabulary[1] - item.vocabulary[0])
        torch.testing.assert_close(padded[index], single[index])


@torch.inference_mode()
def test_only_the_last_layer_is_spared_rows(backbone: Backbone) -> None:
    row = canvas(12)
    (alone,) = passes_of([ForwardItem(row, torch.tensor([5, 11]), (0, VOCAB))], together=False)
    everything = backbone(row.token_ids[None])  # positions 0, 1, 2 …
    plain = passes_of(
        [
            ForwardItem(
                Canvas(row.token_ids, torch.arange(12.0), row.image_cells, (), VOCAB), torch.tensor([5]), (0, VOCAB)
            )
        ],
        together=False,
    )[0].run(backbone, CPU)[0]
    torch.testing.assert_close(plain[0], everything[0, 4])
    assert not torch.allclose(alone.run(backbone, CPU)[0][0], plain[0])
