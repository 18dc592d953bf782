"""Write the software bill of materials (SBOM) of what a web process runs, as CycloneDX 1.6 JSON.

usage: make_sbom.py [FILE]     (var/sbom.cdx.json)

It lists the locked Python packages with the hashes of their files, the vendored files of the
browser, the fonts of reports, and the shipped models. It fails if a package is locked without a
hash, or if the result is not valid CycloneDX. The same sources give the same file.
"""

import hashlib
import json
import re
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements-serve.txt"
VENDOR = ROOT / "static" / "vendor" / "manifest.json"
FONTS = ROOT / "diagnosis" / "fonts" / "manifest.json"
BUNDLES = ROOT / "mlcore" / "bundles"
FILE = ROOT / "var" / "sbom.cdx.json"


def sha256(text: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=text)


def packages(lock: str) -> Iterator[Component]:
    """Yield a component for each package that a lock pins.

    Raises:
        ValueError: a package has no hash.
    """
    for entry in re.sub(r"\\\n", " ", lock).splitlines():
        pin = entry.partition("#")[0].partition("--hash")[0].strip()
        if not pin:
            continue
        needed = Requirement(pin)
        hashes = re.findall(r"--hash=sha256:([0-9a-f]{64})", entry)
        if not hashes:
            raise ValueError(f"{pin} is locked without a hash.")
        (specifier,) = needed.specifier
        files = ExternalReference(
            type=ExternalReferenceType.DISTRIBUTION,
            url=XsUri(f"https://pypi.org/project/{needed.name}/{specifier.version}/"),
            hashes=[sha256(each) for each in hashes],
            comment=f"needed if {needed.marker}" if needed.marker else None,
        )
        purl = PackageURL("pypi", name=needed.name, version=specifier.version)
        yield Component(
            type=ComponentType.LIBRARY, name=needed.name, version=specifier.version,
            purl=purl, bom_ref=str(purl), external_references=[files],
        )  # fmt: skip


def vendored(manifest: Path, kind: str) -> Iterator[Component]:
    """Yield a component for each package whose files a manifest lists.

    Args:
        manifest: its folder holds the files.
        kind: the type of the packages' URLs, such as "npm".
    """
    folder = manifest.parent.relative_to(ROOT)
    for package in json.loads(manifest.read_text()):
        purl = PackageURL(kind, name=package["name"], version=package["version"])
        yield Component(
            type=ComponentType.LIBRARY, name=package["name"], version=package["version"],
            purl=purl, bom_ref=str(purl), scope=None, description=package.get("changed"),
            licenses=[DisjunctiveLicense(name=package["licence"])],
            external_references=[
                ExternalReference(
                    type=ExternalReferenceType.WEBSITE, url=XsUri(package["source"])
                )
            ],
            components=[
                Component(type=ComponentType.FILE, name=name, hashes=[sha256(digest)],
                          bom_ref=f"{folder}/{name}")
                for name, digest in package["files"].items()
            ],
        )  # fmt: skip


def models(folder: Path) -> Iterator[Component]:
    """Yield a component for each shipped model; its hash is that of its card."""
    for card in sorted(folder.glob("*/card.json")):
        digest = hashlib.sha256(card.read_bytes()).hexdigest()
        yield Component(
            type=ComponentType.MACHINE_LEARNING_MODEL, name=card.parent.name, version=digest[:12],
            hashes=[sha256(digest)], bom_ref=f"mlcore/bundles/{card.parent.name}",
        )  # fmt: skip


def make() -> str:
    """Return the SBOM as JSON.

    Raises:
        ValueError: a package is locked without a hash, or the result is invalid.
    """
    version = re.search(r'__version__ = "(.+)"', (ROOT / "xraysite" / "__init__.py").read_text())
    bom = Bom()
    bom.metadata.component = Component(
        type=ComponentType.APPLICATION, name="xraysite", version=version[1] if version else "",
        bom_ref="xraysite",
    )  # fmt: skip
    parts = [
        *packages(LOCK.read_text()),
        *vendored(VENDOR, "npm"),
        *vendored(FONTS, "generic"),
        *models(BUNDLES),
    ]
    bom.components.update(parts)
    bom.register_dependency(bom.metadata.component, parts)
    content = json.loads(JsonV1Dot6(bom).output_as_string())
    content["metadata"].pop("timestamp", None)
    content.pop("serialNumber", None)
    text = json.dumps(content, indent=2, sort_keys=True)
    # Derived from the content, so that the same sources give the same file.
    content["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_URL, text).urn
    text = json.dumps(content, indent=2, sort_keys=True) + "\n"
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if problem is not None:
        raise ValueError(f"The SBOM is not valid CycloneDX 1.6: {problem}")
    return text


def main() -> int:
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
    try:
        text = make()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.write_text(text)
    print(f"{file}: {len(json.loads(text)['components'])} components.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
