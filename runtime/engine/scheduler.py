"""The scheduler: which responses share the next denoise step."""

from collections.abc import Iterable
from typing import Protocol, TypeVar


class Schedulable(Protocol):
    """What the scheduler looks at.

    last_served: a number that grows with every serving; 0 for never yet.
    num_canvases, longest_canvas: what it adds to a batch (guidance takes a second canvas), in canvases and positions.
    """

    @property
    def last_served(self) -> int: ...
    @property
    def num_canvases(self) -> int: ...
    @property
    def longest_canvas(self) -> int: ...


S = TypeVar("S", bound=Schedulable)


def choose(responses: Iterable[S], batch_positions: int) -> list[S]:
    """Those that waited longest, as many as fit into `batch_positions` padded positions; always at least one.

    Ties go to the one submitted first, which is the order of `responses`. A response that does not fit is not jumped
    over by later ones, so nobody starves.
    """
    chosen: list[S] = []
    num_canvases = longest = 0
    for response in sorted(responses, key=lambda response: response.last_served):
        num_canvases += response.num_canvases
        longest = max(longest, response.longest_canvas)
        if chosen and num_canvases * longest > batch_positions:
            break
        chosen.append(response)
    return chosen
