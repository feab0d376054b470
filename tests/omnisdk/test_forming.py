import asyncio

import pytest

from omnisdk.forming import MAX_KEPT_PREVIEWS, Forming
from omnisdk.protocol import events

pytestmark = pytest.mark.anyio


def progress(step: int) -> events.OmniProgress:
    return events.OmniProgress(response_id="r", step=step, steps=99, unmasked_ratio=step / 99, eta_ms=0, slots={})


def picture(step: int) -> events.OmniImagePartial:
    return events.OmniImagePartial(
        response_id="r", slot="image", step=step, steps=99, partial_image_index=step, width=8, height=8,
        mime="image/png", partial_image_b64=b"png", rows=1, columns=1, mask=[1], confidence=[0.0],
    )  # fmt: skip


async def test_a_group_of_events_is_shown_whole_and_once() -> None:
    forming = Forming()
    forming.take(picture(1))
    assert forming.newest is None
    forming.take(progress(1))
    assert (forming.num_shown, forming.newest.step if forming.newest else 0) == (1, 1)
    forming.take(picture(2))
    forming.take(picture(3))  # the group of step 2 had no end
    assert forming.num_shown == 2
    forming.show_rest()
    assert (forming.num_shown, len(forming.previews)) == (3, 3)


async def test_whoever_waits_is_woken_and_sees_the_newest() -> None:
    forming = Forming()

    async def seen() -> list[int]:
        return [partial.step async for partial in forming.partials()]

    watching = asyncio.create_task(seen())
    await asyncio.sleep(0)
    for step in (1, 2, 3):
        forming.take(progress(step))
    await asyncio.sleep(0)
    forming.end()
    assert await watching == [3]


async def test_previews_are_thinned_out() -> None:
    forming = Forming()
    for step in range(1, 99):
        forming.take(picture(step))
        forming.take(progress(step))
    assert len(forming.previews) <= MAX_KEPT_PREVIEWS
    assert forming.previews[0].step == 1
