"""What a scraper reads, before a scripted engine and over a real socket."""

import httpx
from prometheus_client.parser import text_string_to_metric_families

from runtime.engine.output import Finished, Started, StepOutput, Usage
from runtime.engine.recipe import EMBEDDED_RECIPES
from runtime.engine.request import GenerationRequest
from runtime.server.keys import Key
from runtime.server.metrics import Metrics
from runtime.server.settings import ServerSettings
from tests.support.live_server import serving
from tests.support.scripted_engine import ScriptedEngine
from tests.support.wire_client import connected

REQUEST = GenerationRequest("r", (), EMBEDDED_RECIPES["text_to_image"])


def scraped(text: str) -> dict[str, float]:
    """Samples by name and labels, as in omni:tokens_total{output,text}."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(value for name, value in sample.labels.items() if name != "le")
            if "le" not in sample.labels:
                found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


def test_one_request() -> None:
    now = [10.0]
    metrics = Metrics(lambda: now[0])

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(name, labels)

    see = metrics.on_request("r", REQUEST)
    assert (value("omni:num_requests_waiting"), value("omni:num_requests_running")) == (1, 0)
    see(Started("r", (), 8, 0))
    assert (value("omni:num_requests_waiting"), value("omni:num_requests_running")) == (0, 1)
    for now[0] in (10.5, 11.0):
        see(StepOutput("r", 1, 8, 0.1, 1.0, ()))
    now[0] = 12.0
    see(Finished("r", "completed", (), Usage(input_text=3, output_image=100, steps=8), 8))
    assert (value("omni:num_requests_waiting"), value("omni:num_requests_running")) == (0, 0)
    assert value("omni:requests_total", recipe="text_to_image", status="completed") == 1
    assert value("omni:denoise_steps_total") == 8
    assert value("omni:tokens_total", direction="input", modality="text") == 3
    assert value("omni:tokens_total", direction="output", modality="image") == 100
    assert value("omni:time_to_first_partial_seconds_sum") == 0.5
    assert value("omni:time_to_first_partial_seconds_count") == 1
    assert value("omni:request_duration_seconds_sum") == 2.0


def test_one_that_never_began() -> None:
    metrics = Metrics()
    metrics.on_request("r", None)(Finished("r", "failed", (), Usage(), 0, error="full"))
    assert metrics.registry.get_sample_value("omni:num_requests_waiting") == 0
    assert metrics.registry.get_sample_value("omni:requests_total", {"recipe": "fork", "status": "failed"}) == 1


def test_a_session_is_seen_by_a_scraper() -> None:
    with serving(ScriptedEngine(), settings=ServerSettings(keys=(Key.of("secret"),))) as url:
        scrape, shown = url.replace("ws://", "http://") + "/metrics", {"Authorization": "Bearer secret"}
        assert httpx.get(scrape).status_code == 401
        with connected(url, additional_headers=shown) as client:
            client.speak()
            client.answer()
            client.refused({"type": "input_audio_buffer.commit"})
            during = scraped(httpx.get(scrape, headers=shown).text)
            assert during["omni:websocket_connections_active"] == 1
        answer = httpx.get(scrape, headers=shown)
        assert answer.headers["content-type"].startswith("text/plain; version=")
        after = scraped(answer.text)
    assert after["omni:websocket_connections_total"] == 1
    assert after["omni:speech_end_to_first_event_seconds_count"] == 1
    assert after["omni:requests_total{speech_to_image,completed}"] == 1
    assert after["omni:denoise_steps_total"] == 4
    assert after["omni:tokens_total{output,image}"] == 16
