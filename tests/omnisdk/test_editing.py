from dataclasses import replace

from omnisdk.client import Client
from omnisdk.editing import Box, Edit
from omnisdk.protocol import wire
from omnisdk.protocol.events import OmniCanvasEdit
from runtime.engine.denoising import DenoisingEngine
from runtime.server.model_card import PictureShape
from tests.support.live_server import MODEL, serving
from tests.support.tiny_model import tiny_model
from tests.support.unhurried import UnhurriedExecutor


def test_places_are_sent_as_positions_or_a_box() -> None:
    edits = [Edit.pin("text", range(2)).to_wire(), Edit.mask("image", Box(1, 2, 3, 4)).to_wire()]
    event = wire.decode_client_event(wire.encode(OmniCanvasEdit(canvas_id="c", edits=edits)))
    assert isinstance(event, OmniCanvasEdit)
    assert [(edit.positions, edit.box) for edit in event.edits] == [([0, 1], None), (None, (1, 2, 3, 4))]


def test_the_sync_client_changes_an_answer_on_the_way() -> None:
    model = tiny_model()
    engine = DenoisingEngine(model, UnhurriedExecutor(model.backbone, num_threads=1))
    card = replace(MODEL, max_turns=1, picture=PictureShape(80, 80, 10, 10))
    token = model.vocabulary.image[0] + 5
    with serving(engine, card) as url, Client(url) as client, client.session(output=["image"]) as session:
        session.send("draw a red apple")
        response = session.respond(steps=100)
        assert response.edit(Edit.set("image", [0], [token])).wait() < 100
        tuned_at = response.tune(steps_left=2).wait()
        assert response.wait().steps <= tuned_at + 2 < 100
