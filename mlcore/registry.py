"""The model registry: registered bundles and the active model."""

import itertools
import logging
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from django.db import transaction
from django.utils import timezone

from mlcore import evaluations, external, gates
from mlcore.engine.serving import bundle as bundles
from mlcore.engine.serving import golden
from mlcore.engine.serving.pipeline import Output, Pipeline
from mlcore.engine.serving.runtime import SessionError
from mlcore.models import ModelVersion, bundle_folder, bundle_roots

logger = logging.getLogger(__name__)

UnavailableCode = Literal["inactive", "missing", "damaged", "invalid_output", "timeout"]


class ModelUnavailable(RuntimeError):  # noqa: N818 - a state of the site
    """Raised when no trustworthy prediction is possible.

    Attributes:
        code: "inactive" (no model is active), "missing", "damaged", "invalid_output" or "timeout".
        detail: further information for operators.
    """

    def __init__(self, code: UnavailableCode, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code: UnavailableCode = code
        self.detail = detail


@dataclass(frozen=True)
class LoadedModel:
    """A verified bundle with its networks. Thread-safe."""

    name: str
    sha256: str
    card: dict[str, Any]
    pipeline: Pipeline
    folder: Path

    def run(self, pixels: np.ndarray) -> Output:
        """Preprocess (H, W) uint8 pixels as stated on the card and run the networks."""
        return self.pipeline.run(pixels)


_lock = threading.Lock()
_loaded: dict[tuple[str, str], LoadedModel] = {}


def load(folder: Path, *, sha256: str | None = None) -> LoadedModel:
    """Load a bundle, verify its files and run its golden tests.

    Args:
        folder: the bundle's folder.
        sha256: the expected hash of the bundle, if known.

    Raises:
        ModelUnavailable: "missing" or "damaged".
    """
    try:
        bundle = bundles.read(folder)
        if sha256 is not None and bundle.sha256 != sha256:
            raise ModelUnavailable(
                "damaged", f"the bundle's hash is {bundle.sha256}, not {sha256} as registered"
            )
        pipeline = Pipeline.of(bundle)
        golden.check(folder, pipeline.run)
    except FileNotFoundError as error:
        raise ModelUnavailable("missing", str(error)) from error
    except (bundles.BundleError, SessionError) as error:
        raise ModelUnavailable("damaged", str(error)) from error
    return LoadedModel(bundle.name, bundle.sha256, bundle.card, pipeline, bundle.folder)


def active_version() -> ModelVersion | None:
    """Return the row of the active model, or None."""
    return ModelVersion.objects.filter(is_active=True).first()


def active_model() -> LoadedModel:
    """Return the active model, loaded once per process and again after a change.

    A damaged bundle is set aside, with the reason stored in the registry.

    Raises:
        ModelUnavailable: none is active, or the active one is missing or damaged.
    """
    # Without the card, which the loaded bundle has: this is asked for every film.
    needed = ModelVersion.objects.only("name", "bundle_sha256", "path")
    version = needed.filter(is_active=True).first()
    if version is None:
        raise ModelUnavailable("inactive", "no model is active")
    return loaded_version(version)


def loaded_version(version: ModelVersion) -> LoadedModel:
    """Return the model of a registered version; see `active_model`."""
    key = (version.name, version.bundle_sha256)
    with _lock:
        if key not in _loaded:
            try:
                _loaded[key] = load(version.folder, sha256=version.bundle_sha256)
            except ModelUnavailable as error:
                if error.code == "damaged":
                    _set_aside(version, error.detail)
                raise
        return _loaded[key]


def _set_aside(version: ModelVersion, reason: str) -> None:
    logger.error("Model %s is set aside: %s", version.name, reason)
    ModelVersion.objects.filter(pk=version.pk).update(set_aside_reason=reason)


def warm_up() -> None:
    """Load the active model, if any, so that the first reading does not wait for it."""
    version = active_version()
    if version is not None:
        loaded_version(version)


def forget_loaded() -> None:
    """Unload all models of this process; the next reading loads and verifies again."""
    with _lock:
        _loaded.clear()


def folder_of(name: str) -> Path:
    """Return the folder of the bundle with this name; see `mlcore.models.bundle_folder`."""
    return bundle_folder(name)


def file_of(version: ModelVersion, name: str) -> bytes:
    """Return a file of a version's bundle after verifying its hash.

    Raises:
        ModelUnavailable: "missing" if the file is not listed on the card or does not exist,
            "damaged" if it was altered.
    """
    sha256 = version.card.get("files", {}).get(name)
    if sha256 is None:
        raise ModelUnavailable("missing", f"{version.name} has no {name}")
    try:
        content = (version.folder / name).read_bytes()
    except OSError as error:
        raise ModelUnavailable("missing", f"{name} of {version.name}: {error.strerror}") from error
    if bundles.digest(content) != sha256:
        raise ModelUnavailable("damaged", f"{name} of {version.name} was altered")
    return content


def find(name: str) -> ModelVersion | None:
    """Return the registered version with this name, or None."""
    return ModelVersion.objects.filter(name=name).first()


REGISTRY = "the registry"


class NameInUse(ValueError):  # noqa: N818
    """Raised when a name belongs to another bundle, for ever."""


def register(folder: Path) -> ModelVersion:
    """Register a bundle, without activating it.

    A bundle that is registered already keeps its row; only its folder is updated.

    Raises:
        ModelUnavailable: the bundle or its supplement is missing or damaged.
        NameInUse: a different bundle is registered under this name. Readings refer to that one by
            its row, so the row never changes.
    """
    loaded = load(folder)
    path = folder.resolve()
    for root in bundle_roots():
        if path.is_relative_to(root.resolve()):
            path = path.relative_to(root.resolve())
    with transaction.atomic():
        version, is_new = ModelVersion.objects.get_or_create(
            name=loaded.name,
            defaults={
                "bundle_sha256": loaded.sha256,
                "path": str(path),
                "card": loaded.card,
                "card_text": _card_text(folder, loaded.sha256),
            },
        )
        if version.bundle_sha256 != loaded.sha256:
            raise NameInUse(
                f"{loaded.name!r} is the name of a registered model with the hash "
                f"{version.bundle_sha256[:12]}, which no other bundle can take. Choose another "
                f"name, such as {free_name(loaded.name)!r}."
            )
        if not is_new:
            version.path, version.set_aside_reason = str(path), ""
            version.save(update_fields=["path", "set_aside_reason"])
        complete(version)
    return version


def _card_text(folder: Path, sha256: str) -> str:
    """Return the text of a bundle's card if it has the given hash, otherwise ""."""
    try:
        content = (folder / bundles.CARD).read_bytes()
    except OSError:
        return ""
    return content.decode() if bundles.digest(content) == sha256 else ""


def complete(version: ModelVersion) -> None:
    """Add to a row what its bundle offers and earlier versions of the site did not keep.

    That is the text of the card, and the evaluations. Nothing that is there changes.

    Raises:
        ModelUnavailable: the bundle's supplement is damaged.
    """
    text = version.card_text or _card_text(version.folder, version.bundle_sha256)
    if not text:
        return
    if not version.card_text:
        ModelVersion.objects.filter(pk=version.pk, card_text="").update_card_text(text)
        version.card_text = text
    if not _card_text(version.folder, version.bundle_sha256):
        return
    try:
        evaluations.take_in(version, version.folder)
    except evaluations.EvaluationError as error:
        raise ModelUnavailable("damaged", str(error)) from error
    # Others' files are no part of the bundle: one that is refused is logged and keeps nothing back.
    external.take_in(version, version.folder)


def free_name(name: str, *more_roots: Path) -> str:
    """Return the next name that no model, folder or unfinished training has.

    Args:
        name: a name in use; "pneumonia-2" gives "pneumonia-3", "mine" gives "mine-2".
        more_roots: folders of bundles to check besides those of the site.
    """
    stem, number = re.fullmatch(r"(.*?)(?:-(\d+))?", name, re.DOTALL).groups()  # type: ignore[union-attr]
    for following in itertools.count(int(number or 1) + 1):
        free = f"{stem}-{following}"
        if place_of(free, *more_roots) is None and not any(
            (root / f".training-{free}").exists() for root in (*bundle_roots(), *more_roots)
        ):
            return free
    raise AssertionError


def place_of(name: str, *more_roots: Path) -> str | None:
    """Return where a name is in use: REGISTRY, or a folder of bundles; None if it is free."""
    if find(name) is not None:
        return REGISTRY
    for root in (*bundle_roots(), *more_roots):
        if (root / name).exists():
            return str(root)
    return None


class NotFitToActivate(ValueError):  # noqa: N818
    """Raised when a bundle lacks something required for activation."""


class GatesNotPassed(NotFitToActivate):
    """Raised when activation gates are neither passed nor overridden.

    Attributes:
        results: the results that prevent activation.
    """

    def __init__(self, version: ModelVersion, results: list[gates.Result]) -> None:
        said = ", ".join(f"{result.gate.name} ({result.status})" for result in results)
        super().__init__(f"{version.name} does not pass these activation gates: {said}.")
        self.results = results


def activate(version: ModelVersion, *, overrides: Mapping[str, str] | None = None) -> ModelVersion:
    """Make `version` the active model.

    Args:
        version: a registered version.
        overrides: reasons by the name of an activation gate; kept on the row and in the audit log.

    Raises:
        NotFitToActivate: the card lacks a threshold chosen on validation data, calibration
            figures or a scope gate; or a gate is not passed and not overridden.
        ModelUnavailable: the bundle is missing, damaged or not the registered one.
        gates.GateError: an override is invalid.
    """
    missing = bundles.missing_for_service(version.card)
    if missing:
        raise NotFitToActivate(f"{version.name} lacks {', '.join(missing)}.")
    found = gates.results(version, overrides)
    if blocking := gates.blocking(found):
        raise GatesNotPassed(version, blocking)
    load(version.folder, sha256=version.bundle_sha256)
    with transaction.atomic():
        version.gate_overrides = {r.gate.name: r.override for r in found if r.override}
        for other in ModelVersion.objects.select_for_update().filter(is_active=True):
            other.is_active = False
            other.save(update_fields=["is_active"])
        version.is_active = True
        version.activated_at = timezone.now()
        version.set_aside_reason = ""
        version.save(
            update_fields=["is_active", "activated_at", "set_aside_reason", "gate_overrides"]
        )
    return version


def earlier_version() -> ModelVersion | None:
    """Return the previously active version, or None."""
    return (
        ModelVersion.objects.filter(is_active=False, activated_at__isnull=False)
        .order_by("-activated_at")
        .first()
    )


def roll_back(*, overrides: Mapping[str, str] | None = None) -> ModelVersion:
    """Activate the previously active model.

    Raises:
        NotFitToActivate: its card lacks something that is required today, or a gate is neither
            passed nor overridden, now or when it was activated before.
        ModelUnavailable: there is none, or its bundle is missing or damaged.
    """
    earlier = earlier_version()
    if earlier is None:
        raise ModelUnavailable("missing", "there is no previously active model")
    return activate(earlier, overrides=overrides)
