"""Finished pictures, kept in memory for a while so that any client can fetch them over HTTP."""

from collections import OrderedDict


class AssetStore:
    """PNG files by id. Beyond `max_bytes` the one not asked for the longest goes first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._num_bytes = 0
        self._files: OrderedDict[str, bytes] = OrderedDict()

    def put(self, asset_id: str, png: bytes) -> None:
        self._num_bytes += len(png) - len(self._files.pop(asset_id, b""))
        self._files[asset_id] = png
        while self._num_bytes > self._max_bytes and len(self._files) > 1:
            _, oldest = self._files.popitem(last=False)
            self._num_bytes -= len(oldest)

    def get(self, asset_id: str) -> bytes | None:
        if asset_id in self._files:
            self._files.move_to_end(asset_id)
        return self._files.get(asset_id)
