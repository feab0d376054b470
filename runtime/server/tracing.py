"""Spans by the names of OpenTelemetry's conventions for generative models, where its API is installed.

Where to they go is for whoever sets up its SDK in the process; without one they cost next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omnisdk.protocol import events
from omnisdk.protocol.events import ServerEvent
from omnisdk.protocol.items import FunctionCall, FunctionCallOutput
from runtime.engine.output import EngineOutput, Finished, StepOutput
from runtime.engine.request import GenerationRequest
from runtime.server.watched_engine import See

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer
    from starlette.types import ASGIApp, Receive, Scope, Send

PROVIDER = "omnisdk"
GENERATE, EXECUTE_TOOL = "generate_content", "execute_tool"
OUTPUT_TYPES = {"text": "text", "speech": "speech", "image": "image"}
MOST_OPEN = 1024  # calls whose outcome may still come
CALL_RECIPES = ("tool_choice", "tool_call")


def tracing_of(model_name: str) -> Tracing | None:
    """None where the API is not installed."""
    try:
        from opentelemetry import trace
    except ModuleNotFoundError:
        return None
    return Tracing(model_name, trace.get_tracer("omnisdk"))


class Tracing:
    """A span for each request of the model, and for each tool from its call to what it gave.

    shared_tools: of what is asked over plain HTTP, where what a tool gave comes with another request.
    """

    def __init__(self, model_name: str, tracer: Tracer) -> None:
        self._model_name, self._tracer = model_name, tracer
        self.shared_tools = ToolSpans(tracer)

    def on_request(self, request_id: str, request: GenerationRequest | None) -> See:
        span = self._tracer.start_span(f"{GENERATE} {self._model_name}", attributes=self._asked(request_id, request))
        shown = False

        def see(output: EngineOutput) -> None:
            nonlocal shown
            if isinstance(output, StepOutput) and not shown:
                shown = True
                span.add_event("omni.first_partial", {"omni.step": output.step})
            elif isinstance(output, Finished):
                _end(span, output)

        return see

    def _asked(self, request_id: str, request: GenerationRequest | None) -> dict[str, Any]:
        asked: dict[str, Any] = {
            "gen_ai.operation.name": GENERATE,
            "gen_ai.provider.name": PROVIDER,
            "gen_ai.request.model": self._model_name,
            "gen_ai.response.model": self._model_name,
            "gen_ai.response.id": request_id,
        }
        if request is None:
            return asked
        last = request.recipe.slots[-1].modality if request.recipe.slots else "text"
        asked["gen_ai.output.type"] = "json" if request.recipe.name in CALL_RECIPES else OUTPUT_TYPES[last]
        asked["gen_ai.conversation.id"] = request.tenant
        return asked | {"gen_ai.request.seed": request.seed, "omni.recipe": request.recipe.name}

    def tools(self) -> ToolSpans:
        """Of one session."""
        return ToolSpans(self._tracer)

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """Spans become children of the one that a client's request is part of."""
        return _Continued(app)


class ToolSpans:
    """The client runs the tools: a span lasts from when a call is told until what it gave comes back.

    Of more than MOST_OPEN the oldest is ended as one that was never answered.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._open: dict[str, Span] = {}

    def sent(self, event: ServerEvent) -> None:
        match event:
            case events.ResponseOutputItemDone(item=FunctionCall(status="completed") as call):
                self._begin(call)
            case events.ConversationItemAdded(item=FunctionCallOutput() as output):
                self.answered(output.call_id)

    def answered(self, call_id: str) -> None:
        """What a tool gave has come. Of one that is not open any more, or never was, nothing follows."""
        span = self._open.pop(call_id, None)
        if span is not None:
            span.end()

    def close(self) -> None:
        """What was called and never answered."""
        while self._open:
            self._give_up()

    def _begin(self, call: FunctionCall) -> None:
        told = {
            "gen_ai.operation.name": EXECUTE_TOOL,
            "gen_ai.provider.name": PROVIDER,
            "gen_ai.tool.name": call.name,
            "gen_ai.tool.type": "function",
            "gen_ai.tool.call.id": str(call.call_id),
        }
        self._open[str(call.call_id)] = self._tracer.start_span(f"{EXECUTE_TOOL} {call.name}", attributes=told)
        if len(self._open) > MOST_OPEN:
            self._give_up()

    def _give_up(self) -> None:
        """The oldest."""
        span = self._open.pop(next(iter(self._open)))
        span.set_attribute("error.type", "unanswered")
        span.end()


def _end(span: Span, finished: Finished) -> None:
    from opentelemetry.trace import Status, StatusCode

    usage = finished.usage
    span.set_attributes(
        {
            "gen_ai.response.finish_reasons": [finished.status],
            "gen_ai.usage.input_tokens": usage.input_text + usage.input_speech + usage.input_image,
            "gen_ai.usage.output_tokens": usage.output_text + usage.output_speech + usage.output_image,
            "omni.steps": usage.steps,
        }
    )
    if finished.status == "failed":
        span.set_attribute("error.type", "generation_failed")
        span.set_status(Status(StatusCode.ERROR, finished.error))
    span.end()


class _Continued:
    """ASGI: the context that a request's headers name is the current one while it is served."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from opentelemetry import context, propagate

        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope.get("headers", ())}
        token = context.attach(propagate.extract(headers))
        try:
            await self._app(scope, receive, send)
        finally:
            context.detach(token)
