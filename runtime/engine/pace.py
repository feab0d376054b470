"""How many denoise steps each slot may take: those of its recipe, or those that the time left can buy."""

import math
from collections.abc import Mapping


def affordable(slack_s: float, step_s: float, floor: int, planned: int) -> int:
    """Steps that fit into the time left, at least `floor` and at most `planned`.

    slack_s: seconds to the deadline, negative past it. step_s: seconds a step takes; 0 for not known yet.
    """
    if step_s <= 0:
        return planned
    return max(min(floor, planned), min(planned, math.floor(slack_s / step_s)))


def shared(steps: int, left: Mapping[str, int]) -> dict[str, int]:
    """`steps` among slots in proportion to the steps each has left, each one at least and none more than that."""
    total = sum(left.values())
    if steps >= total:
        return dict(left)
    spare = max(0, steps - len(left))  # beyond the one step each slot must have
    wanted = total - len(left)
    shares = {name: 1 + (spare * (count - 1) // wanted if wanted else 0) for name, count in left.items()}
    for name in sorted(left, key=lambda name: left[name] - shares[name], reverse=True):
        if sum(shares.values()) >= steps:
            break
        shares[name] += min(1, left[name] - shares[name])
    return shares
