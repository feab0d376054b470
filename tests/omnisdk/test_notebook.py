import base64
import io
import re

import numpy as np
from PIL import Image as PilImage

from omnisdk.conversation import Conversation
from omnisdk.media import Image, Speech
from omnisdk.notebook import answer_html
from omnisdk.partials import ImagePartial, Partial, Preview, TextPartial

FRAMES = [Image(np.full((8, 8, 3), shade, np.uint8)) for shade in (0, 100, 200)]
TONE = Speech(np.ones(4800, np.int16), sample_rate_hz=24_000)


def test_a_picture_unmasks_itself() -> None:
    shown = answer_html(FRAMES, None, "a <cat>")
    found = re.search(r'src="data:image/webp;base64,([^"]+)"', shown)
    assert found is not None
    assert PilImage.open(io.BytesIO(base64.b64decode(found[1]))).n_frames == 3  # type: ignore[attr-defined]
    assert shown.endswith("<p>a &lt;cat&gt;</p>")


def test_speech_has_a_player() -> None:
    assert "<audio controls" in answer_html([], TONE, "hello")


def test_nothing_is_made_of_what_shows_itself() -> None:
    assert answer_html(FRAMES[:1], None, "words") == ""


def test_a_conversation() -> None:
    speech = Speech(np.zeros(2_400, np.int16), sample_rate_hz=24_000, transcript="1 < 2")
    chat = Conversation(system="<b>").user("what is this?", Image(np.zeros((4, 4, 3), np.uint8))).user(speech)
    html = chat._repr_html_()
    assert html.startswith("<p><b>system</b> &lt;b&gt;</p><p><b>user</b> what is this? <img src=")
    assert html.endswith("</audio> 1 &lt; 2</p>")
    assert chat[0]._repr_html_().startswith("<p><b>user</b> what is this? <img src=")


def test_a_partial() -> None:
    preview = Preview(FRAMES[0].png, 1, 1, (1,), (0.5,))
    slots = {"image": ImagePartial(name="image", preview=preview), "text": TextPartial(name="text", text="a <▒")}
    html = Partial(progress=0.5, slots=slots)._repr_html_()
    assert html.startswith('<progress value="0.50"></progress><img src="data:image/png;base64,')
    assert html.endswith("<p>a &lt;▒</p>")
    assert Partial()._repr_html_() == '<progress value="0.00"></progress>'
