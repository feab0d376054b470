from omnisdk.protocol.items import FunctionCallOutput, Item, Message
from omnisdk.protocol.settings import FunctionTool, SessionSettings, ToolChoice, ToolChoiceFunction
from omnisdk.protocol.skeleton import skeleton_of
from runtime.engine.request import TextPart, Turn
from runtime.server.tools.offer import Offer, call_recipe, choice_recipe, described, related, with_tools

LIGHT = FunctionTool(
    name="set_light",
    description="Turn a lamp on or off.\nIn any room.",
    parameters={"properties": {"room": {"enum": ["kitchen", "hall"]}, "on": {"type": "boolean"}}},
)
TIMER = FunctionTool(name="startTimer", description="Count down minutes.")
SAID: list[Item] = [Message(role="user", content=[])]


def offer(choice: ToolChoice, items: list[Item] = SAID) -> Offer:
    return Offer.of(SessionSettings(tools=[LIGHT, TIMER], tool_choice=choice), items)


def test_what_the_choice_says() -> None:
    assert offer("auto") == Offer((LIGHT, TIMER), forced=False)
    assert offer("none") == Offer((), forced=False)
    assert offer("required") == Offer((LIGHT, TIMER), forced=True)
    assert offer(ToolChoiceFunction(name="startTimer")) == Offer((TIMER,), forced=True)


def test_an_output_is_answered_and_not_called_for_again() -> None:
    items = [*SAID, FunctionCallOutput(call_id="c", output="done")]
    assert not offer("auto", items).tools
    assert offer("required", items).forced


def test_tools_that_share_a_word() -> None:
    assert related([LIGHT, TIMER], "lights in the kitchen please") == [LIGHT]
    assert related([LIGHT, TIMER], "set the timer") == [TIMER]
    assert related([LIGHT, TIMER], "draw two red apples") == []
    assert related([LIGHT, TIMER], "") == []


def test_the_model_is_told() -> None:
    assert described(LIGHT) == "set_light(room, on): Turn a lamp on or off."
    user = Turn("user", (TextPart("hi"),))
    system, same = with_tools([user], [TIMER])
    assert (system.role, same) == ("system", user)
    assert system.parts == (TextPart("tools:\nstartTimer(): Count down minutes."),)
    own = Turn("system", (TextPart("be brief"),))
    assert with_tools([own, user], [TIMER])[0].parts == (TextPart("be brief"), *system.parts)


def test_recipes_write_the_call_around_their_slots() -> None:
    chosen = choice_recipe([LIGHT, TIMER])
    assert chosen.slots[0].lead + "set_light" + chosen.tail == '{"name": "set_light", "arguments": {'
    recipe = call_recipe(LIGHT, skeleton_of(LIGHT.parameters, "", "p"))
    assert [slot.name for slot in recipe.slots] == ["arguments.room", "arguments.on"]
    written = recipe.slots[0].lead + '"hall"' + recipe.slots[1].lead + "true" + recipe.tail
    assert written == '{"name": "set_light", "arguments": {"room": "hall", "on": true}}'
    assert not call_recipe(TIMER, skeleton_of(None, "", "p")).slots
