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
    with pytest.raises(ProtocolError, match="0 steps left came; send 1 to"):
        tuning_of(OmniResponseTune(response_id="r", steps_left=0))
    with pytest.raises(ProtocolError, match="temperature 1e\\+30 came; send 0 to 2") as raised:
        tuning_of(OmniResponseTune(response_id="r", temperature=1e30))
    assert raised.value.param == "temperature"
