"""Read lock files, and build environments and package indexes from local files only."""

import hashlib
import importlib.metadata
import re
import sys
import venv
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("requirements-serve.txt", "requirements.txt", "requirements-dev.txt")


def entries(text: str) -> list[Requirement]:
    """Return the pinned requirements of a lock, for every platform."""
    lines = re.sub(r"\\\n", " ", text).splitlines()
    pins = (line.partition("#")[0].partition("--hash")[0].strip() for line in lines)
    return [Requirement(pin) for pin in pins if pin]


def pins_for(text: str, environment: Mapping[str, str] | None = None) -> dict[str, Requirement]:
    """Return what a lock pins in an environment, by canonical name.

    Args:
        text: the lock's content.
        environment: marker values that differ from those of this interpreter.
    """
    return {
        canonicalize_name(pin.name): pin
        for pin in entries(text)
        if pin.marker is None or pin.marker.evaluate(dict(environment or {}))
    }


def gaps(text: str) -> list[str]:
    """Return the requirements that the lock does not pin in this environment.

    Each requirement of each locked package, of its locked extras included, has to be pinned under
    its own extras to a version that it admits. The packages have to be installed as locked.
    """
    pins = pins_for(text)
    found = []
    for name, pin in pins.items():
        for needed in _requirements(pin):
            locked = pins.get(canonicalize_name(needed.name))
            if locked is None or not needed.extras <= locked.extras:
                found.append(f"{name} needs {needed}, which is not locked")
            elif not needed.specifier.contains(_version(locked), prereleases=True):
                found.append(f"{name} needs {needed}, locked is {locked}")
    return found


def _requirements(pin: Requirement) -> Iterator[Requirement]:
    installed = importlib.metadata.distribution(pin.name)
    if installed.version != _version(pin):
        raise AssertionError(f"{pin} is locked, {installed.version} is installed: make install-dev")
    for line in installed.requires or ():
        needed = Requirement(line)
        extras = ("", *pin.extras)
        if needed.marker is None or any(needed.marker.evaluate({"extra": e}) for e in extras):
            yield needed


def _version(pin: Requirement) -> str:
    (specifier,) = pin.specifier
    return specifier.version


def make_environment(folder: Path, packages: Iterable[str]) -> Path:
    """Create a virtual environment with only the named packages; return its interpreter.

    The packages are links to those of the running environment, so nothing is fetched.
    """
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site_packages = folder / "lib" / version / "site-packages"
    for name in packages:
        _link(importlib.metadata.distribution(name), site_packages)
    return python


def _link(distribution: importlib.metadata.Distribution, site_packages: Path) -> None:
    files = [Path(str(file)) for file in distribution.files or () if ".." not in file.parts]
    for top in {Path(file.parts[0]) for file in files}:
        # A folder without __init__.py may be a namespace that several distributions share.
        whole = top.suffix in {".dist-info", ".libs"} or top / "__init__.py" in files
        for file in [top] if whole else [file for file in files if file.parts[0] == top.name]:
            target = site_packages / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(str(distribution.locate_file(file)))


class Index:
    """A package index (PEP 503) in a folder, with wheels of one module each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def url(self) -> str:
        return self.folder.as_uri()

    def release(self, name: str, version: str, *metadata: str) -> None:
        """Publish a version of a package.

        Args:
            metadata: lines of its METADATA, such as "Requires-Dist: other>=1".
        """
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        info = f"{name}-{version}.dist-info"
        content = {
            f"{name}.py": f"VERSION = {version!r}\n",
            f"{info}/METADATA": _lines(
                "Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *metadata
            ),
            f"{info}/WHEEL": _lines(
                "Wheel-Version: 1.0", "Generator: tests", "Root-Is-Purelib: true",
                "Tag: py3-none-any",
            ),
        }  # fmt: skip
        content[f"{info}/RECORD"] = _lines(*(f"{path},," for path in (*content, f"{info}/RECORD")))
        with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
            for path, text in content.items():
                wheel.writestr(path, text)
        links = (
            f'<a href="{wheel.name}#sha256={hashlib.sha256(wheel.read_bytes()).hexdigest()}">'
            f"{wheel.name}</a>"
            for wheel in sorted(folder.glob("*.whl"))
        )
        (folder / "index.html").write_text(f"<!DOCTYPE html>\n<body>{''.join(links)}</body>")


def _lines(*lines: str) -> str:
    return "\n".join(lines) + "\n"


def environments() -> Iterator[dict[str, str]]:
    """Yield marker values of the platforms that the locks are for."""
    platforms = (
        ("linux", "Linux", "x86_64"), ("darwin", "Darwin", "arm64"), ("win32", "Windows", "AMD64")
    )  # fmt: skip
    for python in ("3.11", "3.12", "3.13"):
        for system, name, machine in platforms:
            yield {
                "python_version": python,
                "python_full_version": f"{python}.4",
                "sys_platform": system,
                "platform_system": name,
                "platform_machine": machine,
                "os_name": "nt" if system == "win32" else "posix",
            }
