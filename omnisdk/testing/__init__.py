"""A runtime that follows a script, over a real websocket: assistants are tested without a model.

def test_light(scripted):                          # the fixture comes with the package
    scripted.expect("lights off").call("set_light", room="kitchen", on=False)
    scripted.expect_tool_result("ok").say("Done.")
    with Client(scripted.url) as omni:
        assert Agent(omni, tools=[set_light]).run_sync("lights off").text == "Done."

`FakeSpeaker` is where an assistant speaks in a test. `record` writes a session with a real server down, `replay` plays
it again.
"""

from omnisdk.testing.devices import FakeSpeaker
from omnisdk.testing.recording import record, replay
from omnisdk.testing.runtime import ScriptedRuntime, scripted_runtime
from omnisdk.testing.script import ScriptError

__all__ = ["FakeSpeaker", "ScriptError", "ScriptedRuntime", "record", "replay", "scripted_runtime"]
