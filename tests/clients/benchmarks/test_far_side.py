import json

from websockets.sync.client import connect

from clients.benchmarks.sdk import far_side


def test_it_echoes_and_answers_in_partials() -> None:
    with far_side(3) as url:
        with connect(f"{url}/echo", subprotocols=["omni.v1"], proxy=None) as socket:  # type: ignore[list-item]
            socket.send("hello")
            assert socket.recv(timeout=10) == "hello"
        with connect(f"{url}/v1/realtime", subprotocols=["omni.v1"], proxy=None) as socket:  # type: ignore[list-item]
            socket.send(json.dumps({"type": "response.create"}))
            told = [json.loads(socket.recv(timeout=10)) for _ in range(9)]
    assert [event["type"] for event in told[1:]] == [
        "response.created", *["omni.text.partial", "omni.progress"] * 3, "response.done",
    ]  # fmt: skip
    assert int(told[2]["text"]) < int(told[4]["text"])
    assert told[-2]["unmasked_ratio"] == 1
