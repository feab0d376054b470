"""Pictures over plain HTTP, as OpenAI's images API has them: drawn from words, or a region of one painted anew.

With `stream`, partial pictures come as server-sent events before the finished one.
"""

import asyncio
import base64
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from omnisdk.protocol import errors, limits
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.settings import DEFAULT_OMNI, OmniSettings, merged
from runtime.codecs.image import ImageError, decode_image
from runtime.engine.given import GivenImage
from runtime.engine.request import GenerationRequest, TextPart, Turn
from runtime.server.assets import AssetStore
from runtime.server.drawing import Drawing, Drawn
from runtime.server.given import OPAQUE, alpha_of, transparent_in
from runtime.server.http_body import read_form, read_json
from runtime.server.http_errors import account_of, error_body, unless_gone
from runtime.server.model_card import ModelCard
from runtime.server.responses import new_id
from runtime.server.server_sent import MEDIA_TYPE, sent
from runtime.server.task import choose_task
from runtime.server.usage import usage_of

MAX_PICTURES = 4
MAX_PARTIALS = 3
SEED_BITS = 32


class ImageRequest(Struct, kw_only=True):
    """OpenAI's request. seed: ours, repeats a picture. What has no default but None is passed over: a model draws in
    one size, as PNG, and any of its names is as good."""

    prompt: Annotated[str, Meta(min_length=1, max_length=limits.MAX_TEXT_LENGTH)]
    n: Annotated[int, Meta(ge=1, le=MAX_PICTURES)] = 1
    response_format: Literal["b64_json", "url"] = "b64_json"
    stream: bool = False
    partial_images: Annotated[int, Meta(ge=0, le=MAX_PARTIALS)] = 0
    seed: Annotated[int, Meta(ge=0, lt=2**SEED_BITS)] | None = None
    model: Any = None
    size: Any = None
    quality: Any = None
    style: Any = None
    background: Any = None
    moderation: Any = None
    output_format: Any = None
    output_compression: Any = None
    input_fidelity: Any = None
    user: Any = None


class Images:
    """The two endpoints. `kind` of events: image_generation or image_edit."""

    def __init__(self, model: ModelCard, assets: AssetStore) -> None:
        self._model, self._assets = model, assets

    async def generations(self, request: Request) -> Response:
        wanted = await read_json(request, ImageRequest)
        return await self._answer(request, wanted, (), "image_generation")

    async def edits(self, request: Request) -> Response:
        wanted, files = await read_form(request, ImageRequest)
        given = await asyncio.to_thread(_given, {name: file.content for name, file in files.items()})
        return await self._answer(request, wanted, (given,), "image_edit")

    async def _answer(self, request: Request, wanted: ImageRequest, given: Sequence[GivenImage], kind: str) -> Response:
        if wanted.stream:
            if wanted.n != 1:
                raise _refused(f"n {wanted.n} came with stream; one picture is streamed at a time", "n")
            drawing = self._drawing(request, wanted, given, 0)
            await unless_gone(request, drawing.begin())
            return StreamingResponse(self._streamed(drawing, kind), media_type=MEDIA_TYPE)
        drawn = await unless_gone(request, self._all(request, wanted, given))
        told = [self._told(picture, wanted, str(request.base_url)) for picture in drawn]
        usage = usage_of(drawn[-1].usage)
        return JSONResponse(
            {
                "created": int(time.time()),
                "data": told,
                "output_format": "png",
                "size": self._size,
                "usage": {
                    "input_tokens": usage.input_tokens,
                    "output_tokens": usage.output_tokens * len(drawn),
                    "total_tokens": usage.input_tokens + usage.output_tokens * len(drawn),
                    "input_tokens_details": {
                        "text_tokens": usage.input_token_details.text_tokens,
                        "image_tokens": usage.input_token_details.image_tokens,
                    },
                },
            }
        )

    def _told(self, drawn: Drawn, wanted: ImageRequest, base_url: str) -> dict[str, str]:
        if wanted.response_format == "b64_json":
            return {"b64_json": base64.b64encode(drawn.png).decode("ascii")}
        asset_id = new_id("img")
        self._assets.put(asset_id, drawn.png)
        return {"url": f"{base_url}v1/assets/{asset_id}"}

    async def _all(self, request: Request, wanted: ImageRequest, given: Sequence[GivenImage]) -> list[Drawn]:
        drawings = (self._drawing(request, wanted, given, index) for index in range(wanted.n))
        return [await _drawn(drawing) for drawing in drawings]

    async def _streamed(self, drawing: Drawing, kind: str) -> AsyncIterator[str]:
        try:
            async for drawn in drawing.pictures():
                name = f"{kind}.{'completed' if drawn.index is None else 'partial_image'}"
                told: dict[str, Any] = {
                    "type": name,
                    "b64_json": base64.b64encode(drawn.png).decode("ascii"),
                    "created_at": int(time.time()),
                    "output_format": "png",
                    "size": self._size,
                    "quality": "auto",
                    "background": "auto",
                }
                if drawn.index is not None:
                    told["partial_image_index"] = drawn.index
                yield sent(told, name)
        except ProtocolError as error:
            yield sent({"type": "error", "error": error_body(error)}, "error")

    def _drawing(self, request: Request, wanted: ImageRequest, given: Sequence[GivenImage], index: int) -> Drawing:
        """The picture of this index of those that are wanted."""
        turns = [Turn("user", (TextPart(wanted.prompt),))]
        task = choose_task(self._model, turns, merged(DEFAULT_OMNI, OmniSettings(output=["image"])))
        steps = max(slot.steps for slot in task.recipe.slots if slot.modality == "image")
        most_partials = wanted.partial_images if wanted.stream else 0
        asked = GenerationRequest(
            request_id=new_id("image"),
            turns=task.turns,
            recipe=task.recipe,
            seed=secrets.randbits(SEED_BITS) if wanted.seed is None else wanted.seed + index,
            partial_every=max(1, steps // (most_partials + 1)) if most_partials else 0,
            given=tuple(given),
        )
        return Drawing(account_of(request).engine, asked, most_partials)

    @property
    def _size(self) -> str:
        shape = self._model.picture
        return "auto" if shape is None else f"{shape.width}x{shape.height}"


async def _drawn(drawing: Drawing) -> Drawn:
    await drawing.begin()
    return await drawing.finished()


def _given(uploads: dict[str, bytes]) -> GivenImage:
    """The picture and what of it is painted anew: what is transparent in the mask, or in itself where there is none."""
    name = next((name for name in ("image", "image[]") if name in uploads), None)
    if name is None:
        raise _refused(f"no image came among {', '.join(uploads) or 'nothing'}; send one as file `image`", "image")
    pixels = _decoded(uploads[name], "image")
    masked = "mask" if "mask" in uploads else name
    _decoded(uploads[masked], masked)
    if masked == name and not (alpha_of(uploads[name]) < OPAQUE).any():
        raise _refused(
            "no mask came, and nothing of the image is transparent; send as file `mask` a PNG of the same size that is "
            "transparent where it is to be painted anew",
            "mask",
        )
    return GivenImage("image", pixels, transparent_in(alpha_of(uploads[masked]), pixels.shape[:2], masked))


def _decoded(encoded: bytes, param: str) -> NDArray[np.uint8]:
    try:
        return decode_image(encoded, max_pixels=limits.MAX_IMAGE_PIXELS)
    except ImageError as problem:
        raise ProtocolError(str(problem), code=errors.INVALID_IMAGE, param=param) from None


def _refused(message: str, param: str | None) -> ProtocolError:
    return ProtocolError(message, code=errors.INVALID_VALUE, param=param)
