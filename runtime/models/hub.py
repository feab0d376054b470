"""Parts by hub id: out of the local cache of huggingface_hub, else fetched, else told how to fetch."""

from pathlib import Path

from runtime.models.weight_files import CheckpointError, one_line

SMALL = ("*.json", "*.yaml", "*.txt")


def hub_folder(name: str, needs: tuple[str, ...], *, revision: str | None = None, download: bool = True) -> Path:
    """The local folder of the hub repository `owner/name`.

    needs: patterns of the files it is wanted for; the cache has to hold one of them. Only they and small text files
    are fetched. download: whether the network may be asked when the cache has none.
    Raises CheckpointError with the command to run.
    """
    try:
        from huggingface_hub import snapshot_download
    except ModuleNotFoundError:
        raise _not_here(name, "huggingface_hub is not installed: pip install 'omnisdk[hub]'") from None
    try:
        folder = Path(snapshot_download(name, revision=revision, local_files_only=True))
        if any(next(folder.glob(pattern), None) for pattern in needs):
            return folder
    except (OSError, ValueError):  # not in the cache
        pass
    if not download:
        raise _not_here(name, "it is not in the local cache")
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=[*needs, *SMALL]))
    except Exception as error:  # whatever the network or the hub does
        raise _not_here(name, f"it could not be fetched: {one_line(error)}") from error


def _not_here(name: str, why: str) -> CheckpointError:
    return CheckpointError(
        f"{name} is neither a local path nor at hand from the hub ({why}). Fetch it where there is a network with "
        f"`hf download {name} --local-dir FOLDER`, and put FOLDER into the model file."
    )
