"""Pictures and recordings that a client sends to a scripted runtime, by the items they came in."""

from __future__ import annotations

from collections.abc import Iterable

from omnisdk.errors import MediaError
from omnisdk.media import Image, Speech
from omnisdk.protocol import errors, items
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.item_list import Placed
from omnisdk.protocol.picture import Picture
from omnisdk.protocol.session import Committed, SessionRules
from omnisdk.testing.script import Script

Media = Image | Speech


class MediaIn:
    """Of one session, whose rules keep no bytes. The script is told all that comes."""

    def __init__(self, rules: SessionRules, script: Script) -> None:
        self._rules, self._script = rules, script
        self._of_item: dict[str | None, list[Media]] = {}
        self._seen: Image | None = None  # the picture that the next turn takes with it

    def see(self, picture: Picture | None) -> None:
        """A picture of a camera, or none any more. Raises ProtocolError."""
        self._seen = None if picture is None else _image(picture, "image")
        self._rules.image_waits = picture is not None

    def placed(self, item: items.Item, previous_item_id: str | None) -> Placed:
        """The item in the conversation. Raises ProtocolError."""
        media = self._media(item)
        waits = self._rules.image_waits
        placed = self._rules.add_item(item, previous_item_id)
        self._keep(placed, media, waits)
        return placed

    def committed(self, committed: Committed) -> Placed:
        """A turn that was spoken."""
        takes_image = isinstance(committed.placed.item, items.Message) and len(committed.placed.item.content) > 1
        self._keep(committed.placed, [Speech.said(committed.pcm, committed.rate_hz)], takes_image)
        return committed.placed

    def of(self, messages: Iterable[items.Item]) -> list[Media]:
        """What came in these items."""
        return [part for item in messages for part in self._of_item.get(item.id, [])]

    def _keep(self, placed: Placed, media: list[Media], takes_image: bool) -> None:
        if takes_image and not self._rules.image_waits and self._seen is not None:
            media, self._seen = [*media, self._seen], None
        self._of_item[placed.item.id] = media
        self._script.shown += [part for part in media if isinstance(part, Image)]
        self._script.spoken += [part for part in media if isinstance(part, Speech)]

    def _media(self, item: items.Item) -> list[Media]:
        media: list[Media] = []
        for part in item.content if isinstance(item, items.Message) else []:
            if isinstance(part, items.InputImage) and part.image_url:
                media.append(_image(part.image_url, "item.content"))
            elif isinstance(part, items.InputAudio) and isinstance(part.audio, bytes):
                media.append(Speech.said(self._rules.decode_audio(part.audio), self._rules.input_encoding.rate_hz))
        return media


def _image(picture: Picture, param: str) -> Image:
    try:
        return Image(bytes(picture))
    except MediaError as error:
        raise ProtocolError(str(error), code=errors.INVALID_IMAGE, param=param) from None
