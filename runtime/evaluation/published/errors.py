"""What can be wrong with an evaluation before a model is to blame."""


class EvaluationError(RuntimeError):
    """The base of them: what came, what is allowed, what to do."""


class DataError(EvaluationError):
    """The files of a benchmark cannot be read: what was looked for and where."""


class SetupError(EvaluationError):
    """The model, a judge or an option does not fit."""


def missing(package: str) -> SetupError:
    remedy = package if package == "open_clip_torch" else "'omnisdk[eval]'"
    return SetupError(f"the package {package} is not installed; install it with: pip install {remedy}")
