"""Whose fault it is that an answer failed, in the words of the wire."""

from omnisdk.protocol import errors
from runtime.engine.output import Finished


def failure_of(finished: Finished) -> tuple[str, str]:
    """(type, code) of the error of an answer that failed: the request's, what else is asked at once, or the model's."""
    if finished.refused:
        return errors.INVALID_REQUEST, errors.INVALID_VALUE
    return errors.SERVER_ERROR, errors.OVERLOADED if finished.overloaded else errors.GENERATION_FAILED
