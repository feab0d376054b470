"""GET /v1/models: the one model that is served, as OpenAI's API lists models."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from omnisdk.protocol.errors import ProtocolError
from runtime.server.http_errors import MODEL_NOT_FOUND
from runtime.server.model_card import ModelCard


class ModelList:
    def __init__(self, model: ModelCard) -> None:
        self._model = model

    async def all(self, _: Request) -> Response:
        return JSONResponse({"object": "list", "data": [self._entry()]})

    async def one(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name != self._model.name:
            raise ProtocolError(f"there is no model {name!r}; there is {self._model.name!r}", code=MODEL_NOT_FOUND)
        return JSONResponse(self._entry())

    def _entry(self) -> dict[str, object]:
        model = self._model
        return {
            "id": model.name,
            "object": "model",
            "created": 0,
            "owned_by": "omnisdk",
            "omni": {
                "modalities_in": model.modalities_in,
                "modalities_out": model.modalities_out,
                "recipes": tuple(model.recipes),
            },
        }
