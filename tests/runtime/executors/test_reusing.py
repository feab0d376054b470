import math

import pytest
import torch

from runtime.diffusion.canvas import Canvas, SpeechRows
from runtime.executors.executor import ForwardItem, Reuse
from runtime.executors.in_process import InProcessExecutor
from runtime.models.backbone import Backbone, BackboneConfig

VOCAB, HIDDEN, MASK = 50, 32, 49
ROWS = torch.tensor([4, 6, 9])


@pytest.fixture(scope="module")
def executor() -> InProcessExecutor:
    torch.manual_seed(0)
    backbone = Backbone(BackboneConfig(VOCAB, HIDDEN, 48, 3, 2, 1, image_grid=2)).eval()
    for parameter in backbone.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return InProcessExecutor(backbone, "float32")


def canvas(seed: int = 0) -> Canvas:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, VOCAB - 1, (12,), generator=generator)
    ids[ROWS] = MASK
    speech = SpeechRows(1, torch.randn(2, HIDDEN, generator=generator))
    return Canvas(ids, torch.arange(12) * 0.75, torch.full((12,), -1), (), MASK, (speech,))


def item(row: Canvas, reuse: Reuse | None = None) -> ForwardItem:
    return ForwardItem(row, ROWS, (0, VOCAB), reuse)


def active_for(*changed: int) -> torch.Tensor:
    return torch.unique(torch.cat([ROWS, ROWS - 1, torch.tensor(changed, dtype=torch.long)]))


def test_a_refresh_is_exact(executor: InProcessExecutor) -> None:
    row, reuse = canvas(), Reuse(ROWS)
    exact = executor.forward([item(row)])[0]
    assert torch.equal(executor.forward([item(row, reuse)])[0], exact)
    assert math.isnan(reuse.agreement)  # there was nothing to compare with
    reuse.active = active_for()
    assert torch.equal(executor.forward([item(row, reuse)])[0], exact)
    assert reuse.agreement == 1.0


def test_where_nothing_changed_what_is_remembered_is_right(executor: InProcessExecutor) -> None:
    row, reuse = canvas(), Reuse(ROWS)
    exact = executor.forward([item(row, reuse)])[0]
    reuse.active, reuse.refresh = active_for(), False
    torch.testing.assert_close(executor.forward([item(row, reuse)])[0], exact)


def test_what_changed_is_seen_by_what_is_worked_on_and_by_nothing_else(executor: InProcessExecutor) -> None:
    row, reuse = canvas(), Reuse(ROWS)
    before = executor.forward([item(row, reuse)])[0]
    changed = row.fill(torch.tensor([7]), torch.tensor([3]), torch.ones(1))
    reuse.active, reuse.refresh = active_for(7), False
    near = executor.forward([item(changed, reuse)])[0]
    exact = executor.forward([item(changed)])[0]
    assert not torch.allclose(near, before)
    assert not torch.equal(near, exact)  # positions 0 to 2 have not heard of it
    assert (near - exact).norm() < (before - exact).norm()


def test_all_positions_active_is_the_whole_pass(executor: InProcessExecutor) -> None:
    row, reuse = canvas(), Reuse(ROWS)
    executor.forward([item(canvas(1), reuse)])  # what another canvas left behind is all replaced
    reuse.active, reuse.refresh = torch.arange(12), False
    torch.testing.assert_close(executor.forward([item(row, reuse)])[0], executor.forward([item(row)])[0])


def test_a_refresh_tells_how_far_off_it_was(executor: InProcessExecutor) -> None:
    row, reuse = canvas(), Reuse(ROWS)
    executor.forward([item(row, reuse)])
    other = Canvas(canvas(5).token_ids, row.positions, row.image_cells, (), MASK)  # nothing as it was
    reuse.active = active_for()
    executor.forward([item(other, reuse)])
    assert 0 <= reuse.agreement < 1


def test_others_in_the_batch_are_not_touched(executor: InProcessExecutor) -> None:
    one, two = canvas(1), canvas(2)
    reuse = Reuse(ROWS)
    alone = executor.forward([item(one)])[0]
    executor.forward([item(one), item(two, reuse)])
    reuse.active, reuse.refresh = active_for(), False
    scores = executor.forward([item(two, reuse), item(one)])
    assert torch.equal(scores[1], alone)


def test_the_memory_has_a_size(executor: InProcessExecutor) -> None:
    reuse = Reuse(ROWS)
    executor.forward([item(canvas(), reuse)])
    assert reuse.memory.num_bytes == 3 * 2 * 12 * 16 * 4  # layers, keys and values, positions, head width, float32
