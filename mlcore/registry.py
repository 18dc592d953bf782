"""Which bundles this installation knows, and the one that reads films."""

import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from django.db import transaction
from django.utils import timezone

from mlcore.engine.serving import bundle as bundles
from mlcore.engine.serving import golden
from mlcore.engine.serving.explain import Reference
from mlcore.engine.serving.preprocess import Preprocessing, prepare
from mlcore.engine.serving.runtime import Output, Session, SessionError
from mlcore.models import ModelVersion, bundle_folder, bundle_roots

logger = logging.getLogger(__name__)

UnavailableCode = Literal["missing", "damaged", "invalid_output", "timeout"]


class ModelUnavailable(RuntimeError):  # noqa: N818 - a state of the site, as pages call it
    """No trustworthy answer can be had now; `code` says why."""

    def __init__(self, code: UnavailableCode, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code: UnavailableCode = code
        self.detail = detail


@dataclass(frozen=True)
class LoadedModel:
    """A verified bundle with its session, ready to read films; safe to share between threads."""

    name: str
    sha256: str
    card: dict[str, Any]
    session: Session

    def run(self, pixels: np.ndarray) -> Output:
        """Prepare (H, W) uint8 pixels as the card says and runs the network once."""
        spec = Preprocessing.from_card(self.card["preprocessing"])
        return self.session.run(prepare(pixels, size=self.card["input_size"], spec=spec))

    def local_evidence(self, output: Output) -> np.ndarray:
        """Return the (h, w) float32 map in [0, 1] of the evidence for PNEUMONIA."""
        return Reference.from_card(self.card["explanation"]).local_evidence(output.activation_map)


_lock = threading.Lock()
_loaded: dict[tuple[str, str], LoadedModel] = {}


def load(folder: Path, *, sha256: str | None = None) -> LoadedModel:
    """Read and verifies a bundle, and checks that it gives its golden answers.

    Args:
        folder: the bundle's folder.
        sha256: what the bundle must hash to, where that is known.

    Raises:
        ModelUnavailable: "missing" or "damaged".
    """
    try:
        bundle = bundles.read(folder)
        if sha256 is not None and bundle.sha256 != sha256:
            raise ModelUnavailable(
                "damaged", f"the bundle hashes to {bundle.sha256}, registered was {sha256}"
            )
        session = Session(bundle.tflite)
        golden.check(folder, bundle.card, session.run)
    except FileNotFoundError as error:
        raise ModelUnavailable("missing", str(error)) from error
    except (bundles.BundleError, SessionError) as error:
        raise ModelUnavailable("damaged", str(error)) from error
    return LoadedModel(bundle.name, bundle.sha256, bundle.card, session)


def active_version() -> ModelVersion | None:
    """Return the row of the active model, or None."""
    return ModelVersion.objects.filter(is_active=True).first()


def active_model() -> LoadedModel:
    """Return the active model, loaded once a process and again when another becomes active.

    A bundle that fails its checks is set aside, with the reason on its row.

    Raises:
        ModelUnavailable: none is active, or the active one is missing or damaged.
    """
    version = active_version()
    if version is None:
        raise ModelUnavailable("missing", "no model is active")
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
    """Load the active model, if there is one, so that the first reading does not wait."""
    version = active_version()
    if version is not None:
        loaded_version(version)


def forget_loaded() -> None:
    """Drop every loaded model of this process; the next reading loads and verifies again."""
    with _lock:
        _loaded.clear()


def folder_of(name: str) -> Path:
    """Return the folder of the bundle of that name; see `mlcore.models.bundle_folder`."""
    return bundle_folder(name)


def file_of(version: ModelVersion, name: str) -> bytes:
    """Return a file of a version's bundle, where it is still the one that was registered.

    Raises:
        ModelUnavailable: "missing" where the card names no such file or it is gone, "damaged"
            where it was altered.
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
    """Return the registered version of that name, or None."""
    return ModelVersion.objects.filter(name=name).first()


class NameInUse(ValueError):  # noqa: N818
    """The model that reads films has this name, and another bundle."""


def register(folder: Path) -> ModelVersion:
    """Make a verified bundle known, or renews the row of one that is known; activates nothing.

    Raises:
        ModelUnavailable: the bundle is missing or damaged.
        NameInUse: the active model has this name and another bundle. To renew its row would let
            a bundle read films that `activate` never looked at.
    """
    loaded = load(folder)
    known = find(loaded.name)
    if known is not None and known.is_active and known.bundle_sha256 != loaded.sha256:
        raise NameInUse(f"The active model is named {loaded.name!r}; name the new one otherwise.")
    path = folder.resolve()
    for root in bundle_roots():
        if path.is_relative_to(root.resolve()):
            path = path.relative_to(root.resolve())
    version, _ = ModelVersion.objects.update_or_create(
        name=loaded.name,
        defaults={
            "bundle_sha256": loaded.sha256,
            "path": str(path),
            "card": loaded.card,
            "set_aside_reason": "",
        },
    )
    return version


class NotFitToActivate(ValueError):  # noqa: N818
    """A bundle lacks what a model needs before doctors may read with it."""


def activate(version: ModelVersion) -> ModelVersion:
    """Make `version` the one that reads films.

    Raises:
        NotFitToActivate: its card lacks a threshold chosen on validation data, calibration
            figures or a scope gate.
        ModelUnavailable: its bundle is missing, damaged or not the one registered.
    """
    missing = bundles.missing_for_service(version.card)
    if missing:
        raise NotFitToActivate(f"{version.name} lacks {', '.join(missing)}.")
    load(version.folder, sha256=version.bundle_sha256)
    with transaction.atomic():
        for other in ModelVersion.objects.select_for_update().filter(is_active=True):
            other.is_active = False
            other.save(update_fields=["is_active"])
        version.is_active = True
        version.activated_at = timezone.now()
        version.set_aside_reason = ""
        version.save(update_fields=["is_active", "activated_at", "set_aside_reason"])
    return version


def earlier_version() -> ModelVersion | None:
    """Return the version that was active before the present one, or None."""
    return (
        ModelVersion.objects.filter(is_active=False, activated_at__isnull=False)
        .order_by("-activated_at")
        .first()
    )


def roll_back() -> ModelVersion:
    """Activate the model that was active before the present one.

    Raises:
        NotFitToActivate: its card lacks what this software asks for by now.
        ModelUnavailable: there is none, or its bundle is missing or damaged.
    """
    earlier = earlier_version()
    if earlier is None:
        raise ModelUnavailable("missing", "no model was active before")
    return activate(earlier)
