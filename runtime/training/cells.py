"""What stands in each cell of a picture, named from a middle layer on.

An answer about a picture tells the model one noun; its hundred cells tell it a hundred times what it looks at. The
reader that names them is taught beside the backbone and left out of the model.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from runtime.models.backbone import Backbone, rotary
from runtime.training.data.scenes import CANVAS, places
from runtime.training.world import THINGS, Scene

AT_LAYER = 4  # of seven: what comes after it turns what is seen into words
WEIGHT = 0.5  # of the cells in the loss
PREFIX = "cell_reader."  # of the reader's weights beside the backbone's
SIDE = 10  # cells
NOT_NAMED = -100  # where nobody knows
_NUMBERS = {thing: number for number, thing in enumerate(THINGS, 1)}


def things_in_cells(scene: Scene) -> Tensor:
    """(100,) row by row: the number of the thing in whose square the middle of a cell lies, 0 for the background."""
    cells, size = torch.zeros(SIDE, SIDE, dtype=torch.long), CANVAS // SIDE
    middles = torch.arange(SIDE) * size + size // 2
    for thing, (x, y, side) in zip(scene.things, places(scene), strict=True):
        rows, columns = ((start <= middles) & (middles < start + side) for start in (y, x))
        cells[rows[:, None] & columns[None]] = _NUMBERS[thing]
    return cells.flatten()


class CellReader(nn.Sequential):
    """(…, hidden) of the middle layer -> (…, things and background) scores."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__(nn.LayerNorm(hidden_size), nn.Linear(hidden_size, 1 + len(THINGS)))


def hidden_and_middle(
    network: Backbone, embedded: Tensor, positions: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor]:
    """As `Backbone.hidden`, and what comes out of the middle layer; both (batch, length, hidden)."""
    rotation = rotary(positions, network.config.head_dim, network.config.rope_theta, embedded.dtype)
    middle = x = embedded
    for index, layer in enumerate(network.model.layers):
        x = layer(x, rotation, bias, None, None, None)
        if index == AT_LAYER:
            middle = x
    return network.model.norm(x), middle


def cell_loss(reader: CellReader, middle: Tensor, image_cells: Tensor, things: Tensor) -> Tensor:
    """Cross-entropy of what is named in each cell.

    image_cells: (batch, length) cell of a position, -1 elsewhere. things: (batch, 100) of `things_in_cells`,
    or NOT_NAMED.
    """
    rows, columns = (image_cells >= 0).nonzero(as_tuple=True)
    wanted = things[rows, image_cells[rows, columns]]
    return F.cross_entropy(reader(middle[rows, columns]).float(), wanted, ignore_index=NOT_NAMED)


def without_reader(saved: dict[str, Tensor]) -> dict[str, Tensor]:
    """The backbone's weights among those of a run."""
    return {name: part for name, part in saved.items() if not name.startswith(PREFIX)}
