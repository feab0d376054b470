"""Spans as the SDK's own exporter collects them."""

import builtins
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from runtime.server.tracing import tracing_of
from tests.support.live_server import serving
from tests.support.scripted_engine import ScriptedEngine
from tests.support.wire_client import connected

EXPORTER = InMemorySpanExporter()
LIGHT = {
    "type": "function",
    "name": "set_light",
    "parameters": {"type": "object", "properties": {"on": {"const": True}}, "required": ["on"]},
}


@pytest.fixture(scope="module", autouse=True)
def provider() -> Iterator[None]:
    """One for the process: the API takes no second."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(EXPORTER))
    trace.set_tracer_provider(provider)
    yield
    EXPORTER.shutdown()  # later tests of the process are not collected


@pytest.fixture(autouse=True)
def _forgotten() -> None:
    EXPORTER.clear()


def spans(name: str) -> list[ReadableSpan]:
    return [span for span in EXPORTER.get_finished_spans() if span.name == name]


def told(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_an_answer_and_whose_part_it_is() -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with serving(ScriptedEngine()) as url:
        base = url.replace("ws://", "http://") + "/v1"
        body = {"messages": [{"role": "user", "content": "a ball"}], "seed": 7}
        httpx.post(f"{base}/chat/completions", json=body, headers={"traceparent": parent}).raise_for_status()
    (span,) = spans("generate_content omni-test")
    assert span.parent is not None
    assert f"{span.parent.trace_id:032x}" in parent
    attributes = told(span)
    assert attributes.pop("gen_ai.response.id").startswith("resp_")
    assert attributes.pop("gen_ai.conversation.id")
    assert attributes == {
        "gen_ai.operation.name": "generate_content",
        "gen_ai.provider.name": "omnisdk",
        "gen_ai.request.model": "omni-test",
        "gen_ai.response.model": "omni-test",
        "gen_ai.output.type": "text",
        "gen_ai.request.seed": 7,
        "gen_ai.response.finish_reasons": ("completed",),
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 21,
        "omni.recipe": "text_to_image",
        "omni.steps": 4,
    }
    assert [event.name for event in span.events] == ["omni.first_partial"]


def test_one_that_fails() -> None:
    with serving(ScriptedEngine(fails="out of memory")) as url:
        httpx.post(url.replace("ws://", "http://") + "/v1/images/generations", json={"prompt": "x"})
    (span,) = spans("generate_content omni-test")
    assert told(span)["error.type"] == "generation_failed"
    assert (span.status.is_ok, span.status.description) == (False, "out of memory")


def test_a_tool_from_its_call_to_what_it_gave() -> None:
    with serving(ScriptedEngine()) as url, connected(url) as client:
        client.say("the light")
        for answered in (True, False):
            call = client.answer(tools=[LIGHT], tool_choice="required")["output"][0]
            assert not spans("execute_tool set_light") or not answered
            if answered:
                output = {"type": "function_call_output", "call_id": call["call_id"], "output": "on"}
                client.ask({"type": "conversation.item.create", "item": output}, "conversation.item.done")
    answered_span, open_span = spans("execute_tool set_light")
    assert told(answered_span) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.provider.name": "omnisdk",
        "gen_ai.tool.name": "set_light",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": told(answered_span)["gen_ai.tool.call.id"],
    }
    assert told(open_span)["error.type"] == "unanswered"


def test_nothing_where_the_api_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("opentelemetry"):
            raise ModuleNotFoundError(name)
        return imported(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    assert tracing_of("omni") is None
    with serving(ScriptedEngine()) as url:
        answer = httpx.post(url.replace("ws://", "http://") + "/v1/images/generations", json={"prompt": "x"})
    assert answer.status_code == 200
