"""The scheduler: which responses share the next denoise step. Pure but for the ledger of what was served."""

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol, TypeVar

PATIENCE_S = 2.0  # whoever was not served for so long is as urgent as one whose deadline is now


class Schedulable(Protocol):
    """What the scheduler looks at.

    tenant: on whose account it runs. due_s: the clock reading by which it should be served; the earliest goes first.
    last_served: a number that grows with every serving; 0 for never yet.
    num_canvases, longest_canvas: what it adds to a batch (guidance takes a second canvas), in canvases and positions.
    """

    @property
    def tenant(self) -> str: ...
    @property
    def due_s(self) -> float: ...
    @property
    def last_served(self) -> int: ...
    @property
    def num_canvases(self) -> int: ...
    @property
    def longest_canvas(self) -> int: ...


S = TypeVar("S", bound=Schedulable)


def choose(responses: Iterable[S], batch_positions: int, served: Mapping[str, int] | None = None) -> list[S]:
    """As many as fit into `batch_positions` padded positions; always at least one.

    served: positions each tenant has had so far; the one that has had least chooses first, and so on in turn. Within
    a tenant the most urgent goes first; ties go to the one that waited longest, then to the one submitted first.
    One that does not fit is not jumped over by later ones, so nobody starves.
    """
    queues: dict[str, list[S]] = {}
    for response in sorted(responses, key=lambda response: (response.due_s, response.last_served)):
        queues.setdefault(response.tenant, []).append(response)
    had = {tenant: (served or {}).get(tenant, 0) for tenant in queues}
    chosen: list[S] = []
    num_canvases = longest = 0
    while queues:
        tenant = min(queues, key=lambda name: had[name])
        response = queues[tenant].pop(0)
        num_canvases += response.num_canvases
        longest = max(longest, response.longest_canvas)
        if chosen and num_canvases * longest > batch_positions:
            break
        chosen.append(response)
        had[tenant] += cost(response)
        if not queues[tenant]:
            del queues[tenant]
    return chosen


def cost(response: Schedulable) -> int:
    """Positions a step works on for it."""
    return response.num_canvases * response.longest_canvas


class Ledger:
    """Positions served by tenant, of those who have something running."""

    def __init__(self) -> None:
        self.served: dict[str, int] = {}

    def keep(self, tenants: Collection[str]) -> None:
        """Who comes (back) begins level with the one who has had least: idle time is no credit."""
        level = min((had for tenant, had in self.served.items() if tenant in tenants), default=0)
        self.served = {tenant: self.served.get(tenant, level) for tenant in tenants}

    def charge(self, response: Schedulable) -> None:
        self.served[response.tenant] = self.served.get(response.tenant, 0) + cost(response)
