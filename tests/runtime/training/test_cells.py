import pytest
import torch

from runtime.models.backbone import padding_bias
from runtime.training.cells import (
    NOT_NAMED,
    PREFIX,
    CellReader,
    cell_loss,
    hidden_and_middle,
    things_in_cells,
    without_reader,
)
from runtime.training.world import THINGS, Scene
from tests.support.tiny_model import tiny_model

CAT, DOG = (list(THINGS).index(thing) + 1 for thing in ("cat", "dog"))


def test_a_single_thing_stands_in_the_middle() -> None:
    cells = things_in_cells(Scene("single", ("cat",), "red")).view(10, 10)
    assert (cells[2:8, 2:8] == CAT).all()
    assert (cells[[0, -1]] == 0).all()
    assert (cells[:, [0, -1]] == 0).all()


@pytest.mark.parametrize(("layout", "turned"), [("beside", False), ("stacked", True)])
def test_two_things_stand_where_they_belong(layout: str, turned: bool) -> None:
    cells = things_in_cells(Scene(layout, ("cat", "dog"), "red")).view(10, 10)  # type: ignore[arg-type]
    cells = cells.T if turned else cells
    assert set(cells[:, :5].unique().tolist()) == {0, CAT}
    assert set(cells[:, 5:].unique().tolist()) == {0, DOG}


def test_hidden_is_that_of_the_backbone() -> None:
    network = tiny_model().backbone
    embedded, positions = torch.randn(2, 9, network.config.hidden_size), torch.arange(9.0).expand(2, 9)
    bias = padding_bias(torch.tensor([9, 5]), 9, embedded.dtype)
    hidden, middle = hidden_and_middle(network, embedded, positions, bias)
    assert torch.equal(hidden, network.hidden(embedded, positions, bias))
    assert middle.shape == hidden.shape


def test_only_cells_of_a_picture_that_is_known_are_learnt_from() -> None:
    torch.manual_seed(0)
    reader, middle = CellReader(8), torch.randn(2, 104, 8, requires_grad=True)
    image_cells = torch.full((2, 104), -1)
    image_cells[:, 2:102] = torch.arange(100)
    things = torch.stack([things_in_cells(Scene("single", ("cat",), "red")), torch.full((100,), NOT_NAMED)])
    loss = cell_loss(reader, middle, image_cells, things)
    loss.backward()  # type: ignore[no-untyped-call]
    assert middle.grad is not None
    learnt = middle.grad.abs().sum(-1) > 0
    assert learnt[0, 2:102].all()
    assert learnt.sum() == 100
    assert loss.item() == pytest.approx(
        torch.nn.functional.cross_entropy(reader(middle[0, 2:102]), things[0]).item(), rel=1e-5
    )


def test_the_reader_is_left_out_of_the_model() -> None:
    network = tiny_model().backbone
    before = set(network.state_dict())
    network.add_module(PREFIX.rstrip("."), CellReader(network.config.hidden_size))
    assert set(without_reader(network.state_dict())) == before < set(network.state_dict())
