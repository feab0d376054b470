import pytest

from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.events import OmniResponseTune
from runtime.engine.changes import Tuning
from runtime.server.changing import tuning_of


def test_tuning() -> None:
    assert tuning_of(OmniResponseTune(response_id="r", steps_left=3)) == Tuning(3, None)
    with pytest.raises(ProtocolError, match="nothing to change"):
        tuning_of(OmniResponseTune(response_id="r"))
    with pytest.raises(ProtocolError, match="5000 steps left came"):
        tuning_of(OmniResponseTune(response_id="r", steps_left=5000))
