"""Spans as the SDK's own exporter collects them."""

import builtins
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from omnisdk.protocol.events import ResponseOutputItemDone
from omnisdk.protocol.items import FunctionCall
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


CHAT_LIGHT = {"type": "function", "function": {name: LIGHT[name] for name in ("name", "parameters") if name in LIGHT}}


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_over_plain_http_ends_with_a_later_request(stream: bool) -> None:
    messages: list[Any] = [{"role": "user", "content": "the light"}]
    asked = {"tools": [CHAT_LIGHT], "tool_choice": "required"}
    with serving(ScriptedEngine()) as url:
        client = openai.OpenAI(base_url=url.replace("ws://", "http://") + "/v1", api_key="any", max_retries=0)
        with client:
            made = client.chat.completions.create(model="omni", messages=messages, stream=stream, **asked)  # type: ignore[call-overload]
            messages_of = [chunk.choices[0].delta for chunk in made] if stream else [made.choices[0].message]
            call = next(message.tool_calls[0] for message in messages_of if message.tool_calls)
            call = {"id": call.id, "type": "function", "function": {"name": call.function.name, "arguments": "{}"}}
            assert not spans("execute_tool set_light")
            messages += [
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": call["id"], "content": "on"},
            ]
            for _ in range(2):  # the second one tells it again, as whole conversations do
                client.chat.completions.create(model="omni", messages=messages)
            (span,) = spans("execute_tool set_light")
            assert told(span)["gen_ai.tool.call.id"] == call["id"]
            assert "error.type" not in told(span)
            client.chat.completions.create(model="omni", messages=messages[:1], **asked)  # type: ignore[call-overload]
    assert [told(span).get("error.type") for span in spans("execute_tool set_light")] == [None, "unanswered"]


def test_an_answer_of_a_form_is_no_tool() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "light", "schema": LIGHT["parameters"]}}
    body = {"messages": [{"role": "user", "content": "x"}], "response_format": form}
    with serving(ScriptedEngine()) as url:
        httpx.post(url.replace("ws://", "http://") + "/v1/chat/completions", json=body).raise_for_status()
    assert not spans("execute_tool light")


def test_only_so_many_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.server.tracing.MOST_OPEN", 1)
    tracing = tracing_of("omni")
    assert tracing is not None
    for number in range(3):
        call = FunctionCall(name="set_light", arguments="{}", call_id=f"call_{number}", status="completed")
        done = ResponseOutputItemDone(response_id="r", output_index=0, item=call)
        tracing.shared_tools.sent(done)
    assert [told(span)["gen_ai.tool.call.id"] for span in spans("execute_tool set_light")] == ["call_0", "call_1"]


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
