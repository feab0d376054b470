from collections.abc import Iterator
from dataclasses import replace

import openai
import pytest

from runtime.engine.denoising import DenoisingEngine
from runtime.engine.output import Finished, Usage
from runtime.executors.in_process import InProcessExecutor
from runtime.server.failures import failure_of
from runtime.server.model_card import ModelCard, PictureShape
from tests.support.live_server import serving
from tests.support.tiny_model import tiny_model
from tests.support.wire_client import connected

TOO_LONG = "red " * 2_000


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    model = tiny_model()
    card = ModelCard("tiny", model.recipes, PictureShape(80, 80, 10, 10))
    with serving(DenoisingEngine(model, InProcessExecutor(model.backbone)), card) as url:
        yield url


def test_whose_fault_it_is() -> None:
    failed = Finished("r", "failed", (), Usage(), steps=0)
    assert failure_of(failed) == ("server_error", "generation_failed")
    assert failure_of(replace(failed, overloaded=True)) == ("server_error", "overloaded")
    assert failure_of(replace(failed, refused=True)) == ("invalid_request_error", "invalid_value")


def test_what_is_too_long_is_the_request_s_own_fault_over_http(url: str) -> None:
    """A 500 would have it asked again, as often as the client is patient."""
    with openai.OpenAI(base_url=url.replace("ws://", "http://") + "/v1", api_key="any", max_retries=0) as client:
        with pytest.raises(openai.BadRequestError, match="positions; at most"):
            client.chat.completions.create(model="omni", messages=[{"role": "user", "content": TOO_LONG}])
        with pytest.raises(openai.BadRequestError, match="positions; at most"):
            client.images.generate(model="omni", prompt=TOO_LONG)


def test_what_is_too_long_is_the_request_s_own_fault_on_a_socket(url: str) -> None:
    with connected(url) as client:
        client.say(TOO_LONG)
        failed = client.answer()["status_details"]["error"]
    assert (failed["type"], failed["code"]) == ("invalid_request_error", "invalid_value")
