"""The check of the active model, for `xraysite.common.readiness`."""

from mlcore import registry
from mlcore.engine.serving import bundle as bundles
from mlcore.engine.serving import golden
from xraysite.common.readiness import NotReadyError


def check_model() -> None:
    """Verify every file of the active model's bundle, and let the model answer its golden inputs.

    The model in memory may still work when its files are damaged, but the next process could not
    load it.

    Raises:
        NotReadyError: the code of `registry.ModelUnavailable`.
    """
    version = registry.active_version()
    if version is None:
        raise NotReadyError("inactive", "No model is active.")
    try:
        loaded = registry.loaded_version(version)
        found = bundles.read(version.folder)
        if found.sha256 != version.bundle_sha256:
            raise NotReadyError("damaged", f"{bundles.CARD} of {version.name} was altered.")
        golden.check(version.folder, loaded.run)
    except registry.ModelUnavailable as error:
        raise NotReadyError(error.code, error.detail) from error
    except FileNotFoundError as error:
        raise NotReadyError("missing", str(error)) from error
    except bundles.BundleError as error:
        raise NotReadyError("damaged", f"{version.name}: {error}") from error
