"""Finished pictures, kept in memory for a while so that any client can fetch them over HTTP."""

from collections import OrderedDict

from starlette.requests import Request
from starlette.responses import Response

from omnisdk.protocol.errors import ProtocolError
from runtime.server.http_errors import ASSET_NOT_FOUND
from runtime.server.partials import PNG


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


class AssetsEndpoint:
    """GET /v1/assets/{asset_id}."""

    def __init__(self, store: AssetStore) -> None:
        self._store = store

    async def fetch(self, request: Request) -> Response:
        png = self._store.get(request.path_params["asset_id"])
        if png is None:
            raise ProtocolError(
                "there is no such picture; the oldest are dropped, fetch them in time", code=ASSET_NOT_FOUND
            )
        return Response(png, media_type=PNG, headers={"Cache-Control": "private, max-age=3600, immutable"})
