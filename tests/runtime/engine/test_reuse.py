import torch

from runtime.diffusion.canvas import Canvas, Slot
from runtime.engine.reuse import LEAST_AGREEMENT, CanvasReuse

MASK = 9
SLOT = Slot("text", "text", 3, 5, (0, 9), 0)


def canvas() -> Canvas:
    ids = torch.tensor([1, 2, 3, *[MASK] * 5, 4])
    return Canvas(ids, torch.arange(9.0), torch.full((9,), -1), (SLOT,), MASK)


def rows_of(row: Canvas) -> torch.Tensor:
    return row.masked.nonzero()[:, 0]


def test_off_remembers_nothing() -> None:
    assert CanvasReuse(1).plan(canvas(), rows_of(canvas())) is None


def test_every_third_step_is_a_refresh() -> None:
    reuse, row, refreshed = CanvasReuse(3), canvas(), []
    for _ in range(7):
        plan = reuse.plan(row, rows_of(row))
        assert plan is not None
        refreshed.append(plan.refresh)
    assert refreshed == [True, False, False, True, False, False, True]


def test_worked_on_is_what_is_scored_what_scores_it_and_what_changed() -> None:
    reuse, row = CanvasReuse(4), canvas()
    reuse.plan(row, rows_of(row))
    row = row.fill(torch.tensor([3, 6]), torch.tensor([5, 5]), torch.ones(2))
    plan = reuse.plan(row, rows_of(row))
    assert plan is not None
    assert plan.active.tolist() == [3, 4, 5, 6, 7]
    plan = reuse.plan(row, torch.tensor([7]))
    assert plan is not None
    assert plan.active.tolist() == [6, 7]


def test_another_canvas_begins_anew() -> None:
    reuse, row = CanvasReuse(4), canvas()
    first = reuse.plan(row, rows_of(row))
    longer = Canvas(torch.cat([row.token_ids, row.token_ids]), torch.arange(18.0), torch.full((18,), -1), (), MASK)
    second = reuse.plan(longer, rows_of(longer))
    assert second is not first
    assert second is not None
    assert second.refresh


def test_a_memory_that_misleads_is_refreshed_more_often_and_then_given_up() -> None:
    reuse, row = CanvasReuse(4), canvas()
    for every in (4, 2, 1):
        plan = reuse.plan(row, rows_of(row))
        assert reuse.every == every
        assert (plan is None) == (every == 1)
        if plan is not None:
            plan.agreement = LEAST_AGREEMENT - 0.01
    assert reuse.plan(row, rows_of(row)) is None


def test_an_agreement_is_heeded_once() -> None:
    reuse, row = CanvasReuse(8), canvas()
    plan = reuse.plan(row, rows_of(row))
    assert plan is not None
    plan.agreement = 0.0
    for _ in range(3):
        reuse.plan(row, rows_of(row))
    assert reuse.every == 4
