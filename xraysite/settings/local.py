"""Settings for a single user's machine: no environment needed, loopback interface only."""

from django.core.management.utils import get_random_secret_key

from xraysite.common import env, private_files

from .base import *  # noqa: F403
from .base import LOGGING, STORAGES, VAR_DIR

DEBUG = env.env.bool("DEBUG", default=False)
if not env.env.bool("ACCESS_LOG", default=False):
    LOGGING["loggers"]["xraysite.access"]["level"] = "WARNING"
if DEBUG:
    STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
INTERNAL_IPS = ["127.0.0.1"]

# Browsers allow passkeys over plain HTTP on localhost.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = True

# Demo accounts and their printed passwords exist in this mode only.
DEMO_ACCOUNTS = True


def _local_secret_key() -> str:
    """Return this installation's key, generated at the first start and stored in var/."""
    path = VAR_DIR / "secret_key"
    if not path.exists():
        private_files.make_folder(VAR_DIR)
        path.touch(mode=0o600)
        path.write_text(get_random_secret_key())
    return path.read_text().strip()


SECRET_KEY = _local_secret_key()
