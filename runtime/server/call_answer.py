"""A response that calls a tool: its item is the call, its text the arguments.

response.created → output_item.added → conversation.item.added → partials → function_call_arguments.delta, .done →
conversation.item.done → output_item.done → response.done.
"""

from collections.abc import Callable
from typing import Any

from omnisdk.protocol import events
from omnisdk.protocol.items import FunctionCall, ImageRef, Item, ItemStatus
from omnisdk.protocol.session import SessionRules
from omnisdk.protocol.skeleton import Skeleton
from runtime.engine.output import Finished
from runtime.engine.request import TextPart
from runtime.server.answer import Answer, AnswerPlan
from runtime.server.assets import AssetStore
from runtime.server.outbox import Outbox
from runtime.server.parts import called
from runtime.server.tools.offer import ARGUMENTS


class CallAnswer(Answer):
    """name: of the tool. skeleton: of its arguments, whose values are the answer's slots."""

    def __init__(
        self,
        plan: AnswerPlan,
        rules: SessionRules,
        outbox: Outbox,
        assets: AssetStore,
        asset_url: Callable[[str], str],
        new_id: Callable[[str], str],
        *,
        name: str,
        skeleton: Skeleton,
    ) -> None:
        super().__init__(plan, rules, outbox, assets, asset_url, new_id)
        self._name, self._skeleton, self._call_id = name, skeleton, new_id("call")

    def _opening_item(self) -> Item:
        return self._item("", "in_progress")

    def _item(self, arguments: str, status: ItemStatus) -> FunctionCall:
        return FunctionCall(
            name=self._name,
            arguments=arguments,
            call_id=self._call_id,
            id=self.plan.item_id,
            object="realtime.item",
            status=status,
        )

    def _closing_item(self, finished: Finished, refs: list[ImageRef]) -> Item:
        if finished.status not in ("completed", "incomplete"):
            return self._item("", "incomplete")
        values = {slot.name.removeprefix(ARGUMENTS): slot.text or "" for slot in finished.slots}
        arguments = self._skeleton.filled(values)
        place: dict[str, Any] = {"response_id": self._id, "item_id": self.plan.item_id, "output_index": 0}
        place["call_id"] = self._call_id
        self._outbox.put(
            events.ResponseFunctionCallArgumentsDelta(**place, delta=arguments),
            events.ResponseFunctionCallArgumentsDone(**place, name=self._name, arguments=arguments),
        )
        self.parts = (TextPart(called(self._name, arguments)),)
        return self._item(arguments, "incomplete" if self.cut else "completed")
