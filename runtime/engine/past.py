"""Answers that are over and may still be gone on with, from one of their steps."""

from collections import OrderedDict

from runtime.engine.active_response import ActiveResponse

MOST_KEPT = 64  # a few hundred KB each at most, the turns they were asked with aside


class Past:
    """The newest of them. Belongs to the engine's thread."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most = most
        self._kept: OrderedDict[str, ActiveResponse] = OrderedDict()

    def keep(self, response: ActiveResponse) -> None:
        """Nothing is kept of one that remembers no step."""
        if response.moments:
            self._kept[response.request.request_id] = response
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def get(self, request_id: str) -> ActiveResponse | None:
        return self._kept.get(request_id)

    def forget(self, request_id: str) -> None:
        self._kept.pop(request_id, None)
