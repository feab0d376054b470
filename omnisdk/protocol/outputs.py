"""What answers may hold: the extension's `output`, and `output_modalities` of the plain protocol, saying the same."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from omnisdk.protocol import errors
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.settings import SPOKEN_OUTPUT, OmniSettings, OutputModality, SessionSettings, merged

OUTPUT_METADATA = "omni_output"  # how a client without the extension says what an answer may hold


def in_line(settings: SessionSettings, wanted: SessionSettings) -> SessionSettings:
    """omni.output and output_modalities saying the same: what `wanted` names of them holds, omni.output before."""
    if settings.omni is UNSET:
        return settings
    named = wanted.omni is not UNSET and wanted.omni.output is not UNSET
    omni = settings.omni if named else spoken_or_not(settings.omni, wanted.output_modalities)
    modalities = ["audio" if "speech" in _output(omni) else "text"]
    return msgspec.structs.replace(settings, omni=omni, output_modalities=modalities)


def spoken_or_not(omni: OmniSettings, modalities: list[str] | msgspec.UnsetType) -> OmniSettings:
    """As `modalities` of the plain protocol have it: answers that are spoken, or that are not."""
    output = _output(omni)
    if modalities is UNSET or (modalities == ["audio"]) == ("speech" in output):
        return omni
    silent: list[OutputModality] = [kind for kind in output if kind != "speech"]
    return merged(omni, OmniSettings(output=SPOKEN_OUTPUT if modalities == ["audio"] else silent or ["text"]))


def _output(omni: OmniSettings) -> Sequence[OutputModality]:
    assert omni.output is not UNSET
    return omni.output


def named_output(names: str) -> list[OutputModality]:
    try:
        return msgspec.convert([name.strip() for name in names.split(",")], list[OutputModality])
    except msgspec.ValidationError:
        raise ProtocolError(
            f'metadata {OUTPUT_METADATA} is {names!r}; it takes "text", "image", "speech" or several: "image,text"',
            code=errors.INVALID_VALUE,
            param=f"response.metadata.{OUTPUT_METADATA}",
        ) from None
