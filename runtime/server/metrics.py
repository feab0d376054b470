"""What this server does, for Prometheus. Names are vLLM's where it has the same thing, with `omni:` before them."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from runtime.engine.output import EngineOutput, Finished, Started, StepOutput, Usage
from runtime.engine.request import GenerationRequest
from runtime.server.watched_engine import See

LATENCY_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
SESSION_S = (1, 5, 15, 60, 300, 900, 3600, 14_400)
FORKED = "fork"  # in the place of a recipe's name


class Metrics:
    """Has a registry of its own, so that servers of one process do not mix. clock: seconds that only grow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.registry = CollectorRegistry()
        registry = self.registry
        self.connections = Gauge("omni:websocket_connections_active", "Sessions open now.", registry=registry)
        self.all_connections = Counter("omni:websocket_connections", "Sessions opened.", registry=registry)
        self.connection_s = _seconds("websocket_connections_duration", "How long sessions lasted.", registry, SESSION_S)
        self.waiting = Gauge(
            "omni:num_requests_waiting", "Requests whose canvas is not laid out yet.", registry=registry
        )
        self.running = Gauge("omni:num_requests_running", "Requests that are being made.", registry=registry)
        self.requests = Counter(
            "omni:requests", "Requests that ended, by recipe and how.", ("recipe", "status"), registry=registry
        )
        self.steps = Counter("omni:denoise_steps", "Denoise steps run.", registry=registry)
        self.tokens = Counter("omni:tokens", "Tokens read and written.", ("direction", "modality"), registry=registry)
        self.first_partial_s = _seconds("time_to_first_partial", "From a request to its first partial.", registry)
        self.request_s = _seconds("request_duration", "From a request to its end.", registry)
        self.first_event_s = _seconds(
            "speech_end_to_first_event", "From the end of a spoken turn to the first of its answer.", registry
        )
        self.silence_s = _seconds(
            "barge_in_to_silence", "From speech into an answer to the end of that answer.", registry
        )

    def on_request(self, _: str, request: GenerationRequest | None) -> See:
        return _Seen(self, FORKED if request is None else request.recipe.name).see

    @contextmanager
    def connection(self) -> Iterator[None]:
        """While one is open."""
        began = self.clock()
        self.all_connections.inc()
        try:
            with self.connections.track_inprogress():
                yield
        finally:
            self.connection_s.observe(self.clock() - began)

    async def endpoint(self, _: Request) -> Response:
        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)


class _Seen:
    """One request, from its beginning on."""

    def __init__(self, metrics: Metrics, recipe: str) -> None:
        self._metrics, self._recipe = metrics, recipe
        self._begun, self._started, self._shown = metrics.clock(), False, False
        metrics.waiting.inc()

    def see(self, output: EngineOutput) -> None:
        match output:
            case Started():
                self._started = True
                self._metrics.waiting.dec()
                self._metrics.running.inc()
            case StepOutput() if not self._shown:
                self._shown = True
                self._metrics.first_partial_s.observe(self._metrics.clock() - self._begun)
            case Finished():
                self._end(output)

    def _end(self, finished: Finished) -> None:
        metrics = self._metrics
        (metrics.running if self._started else metrics.waiting).dec()
        metrics.requests.labels(self._recipe, finished.status).inc()
        metrics.steps.inc(finished.usage.steps)
        metrics.request_s.observe(metrics.clock() - self._begun)
        for (direction, modality), count in _by_modality(finished.usage).items():
            metrics.tokens.labels(direction, modality).inc(count)


def _by_modality(usage: Usage) -> dict[tuple[str, str], int]:
    return {
        ("input", "text"): usage.input_text,
        ("input", "speech"): usage.input_speech,
        ("input", "image"): usage.input_image,
        ("output", "text"): usage.output_text,
        ("output", "speech"): usage.output_speech,
        ("output", "image"): usage.output_image,
    }


def _seconds(name: str, told: str, registry: CollectorRegistry, buckets: tuple[float, ...] = LATENCY_S) -> Histogram:
    return Histogram(f"omni:{name}_seconds", told, registry=registry, buckets=buckets)
