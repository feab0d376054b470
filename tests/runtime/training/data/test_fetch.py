import hashlib
import io
import os
import shutil
import stat
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from runtime.training.data.fetch import FetchError, Package, cache_folder, fetch, file_of


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """A wheel in a local folder, which pip is set up to take instead of a registry."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    archive = shelf / "little_voice-1.2-py3-none-any.whl"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("little_voice/part.bin", b"sound")
        file.writestr(
            "little_voice-1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: little-voice\nVersion: 1.2\n"
        )
        file.writestr("little_voice-1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        file.writestr("little_voice-1.2.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return Package("pypi", "little-voice", "1.2", hashlib.sha256(archive.read_bytes()).hexdigest())


@pytest.fixture
def tarball(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """An npm tarball, handed out by a small program that stands where npm does and knows `npm pack` only."""
    archive = tmp_path / "drawings-3.0.0.tgz"
    with tarfile.open(archive, "w:gz") as file:
        entry = tarfile.TarInfo("package/icons.json")
        entry.size = 2
        file.addfile(entry, io.BytesIO(b"{}"))
    program = tmp_path / "bin" / "npm"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\n"
        f'[ "$1 $5" = "pack @some/drawings@3.0.0" ] || {{ echo "not found: $5" >&2; exit 1; }}\ncp {archive} "$4"\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    return Package("npm", "@some/drawings", "3.0.0", hashlib.sha256(archive.read_bytes()).hexdigest())


def test_wheel_is_unpacked_and_then_kept(wheel: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fetch(wheel, tmp_path / "cache")
    assert (folder / "little_voice/part.bin").read_bytes() == b"sound"

    def no_more_downloads(*_: object, **__: object) -> None:
        raise AssertionError("downloaded a second time")

    monkeypatch.setattr(subprocess, "run", no_more_downloads)
    assert fetch(wheel, tmp_path / "cache") == folder


def test_npm_package_is_returned_without_its_wrapping_folder(tarball: Package, tmp_path: Path) -> None:
    folder = fetch(tarball, tmp_path / "cache")
    assert [file.name for file in folder.iterdir()] == ["icons.json"]


def test_archive_with_another_hash_is_refused_and_not_kept(wheel: Package, tmp_path: Path) -> None:
    forged = Package(wheel.kind, wheel.name, wheel.version, "0" * 64)
    with pytest.raises(FetchError, match=f"little-voice 1.2 .* has sha256 {wheel.sha256}, but 0+ was pinned"):
        fetch(forged, tmp_path / "cache")
    assert list((tmp_path / "cache/packages").iterdir()) == []


def test_missing_pypi_package_is_named_with_what_pip_said(wheel: Package, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"could not fetch little-voice 9.9(?s:.*)No matching distribution"):
        fetch(Package("pypi", "little-voice", "9.9", wheel.sha256), tmp_path / "cache")


def test_missing_npm_package_is_named_with_what_npm_said(tarball: Package, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"could not fetch @some/other 1\.0\.0(?s:.*)not found"):
        fetch(Package("npm", "@some/other", "1.0.0", tarball.sha256), tmp_path / "cache")


def test_no_npm_says_what_to_install(tarball: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(FetchError, match=r"install Node\.js"):
        fetch(tarball, tmp_path / "cache")


def test_file_of_finds_checks_and_complains(wheel: Package, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    right = hashlib.sha256(b"sound").hexdigest()
    assert file_of(wheel, "little_voice/part.bin", cache, right).read_bytes() == b"sound"
    with pytest.raises(FetchError, match=r"part\.bin of little-voice 1\.2"):
        file_of(wheel, "little_voice/part.bin", cache, "f" * 64)
    with pytest.raises(FetchError, match=r"holds no file 'little_voice/gone\.bin'"):
        file_of(wheel, "little_voice/gone.bin", cache)


def test_cache_folder_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNI_TRAINING_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("OMNI_TRAINING_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home/.cache/omni/training"


def test_a_package_of_debian_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb is not installed")
    content = tmp_path / "content"
    (content / "DEBIAN").mkdir(parents=True)
    (content / "DEBIAN/control").write_text(
        "Package: sounds\nVersion: 1.6\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: x\n"
    )
    (content / "hello.g722").write_bytes(b"sound")
    archive = tmp_path / "sounds_1.6_all.deb"
    subprocess.run(["dpkg-deb", "--build", str(content), str(archive)], check=True, capture_output=True)
    program = tmp_path / "bin" / "apt-get"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n[ "$2 $3" = "download sounds=1.6" ] && cp {archive} .\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    package = Package("debian", "sounds", "1.6", hashlib.sha256(archive.read_bytes()).hexdigest())
    assert (fetch(package, tmp_path / "cache") / "hello.g722").read_bytes() == b"sound"
