"""Settings for tests: separate database and folders, fast password hashing, no environment."""

import atexit
import shutil
import tempfile
from pathlib import Path

from xraysite.common import env

from .base import *  # noqa: F403
from .base import TASK_ENGINES, TASK_QUEUES

SECRET_KEY = "a key of the tests alone, which guards nothing at all"  # noqa: S105
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
DEBUG = False
DEMO_ACCOUNTS = True

_TMP = Path(tempfile.mkdtemp(prefix="xraysite-tests-"))
atexit.register(shutil.rmtree, _TMP, ignore_errors=True)
VAR_DIR = _TMP
STATIC_ROOT = _TMP / "static"
BUNDLE_DIR = _TMP / "bundles"
PRIVATE_MEDIA_ROOT = _TMP / "private"
FILE_UPLOAD_TEMP_DIR = _TMP / "uploads"  # tests empty the folder above
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "films": {
        "BACKEND": "diagnosis.storage.AtomicFileStorage",
        "OPTIONS": {"location": PRIVATE_MEDIA_ROOT / "films"},
    },
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
DATABASES = {
    "default": env.database("TEST_DATABASE_URL", default=f"sqlite:///{_TMP / 'db.sqlite3'}")
}
if DATABASES["default"]["ENGINE"].endswith("sqlite"):
    # A file instead of memory, so that a browser still loading images does not lock out the test.
    DATABASES["default"]["TEST"] = {"NAME": str(_TMP / "test.sqlite3")}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = EMAIL_DELIVERY_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
TASKS = {"default": {"BACKEND": TASK_ENGINES["immediate"], "QUEUES": TASK_QUEUES}}
BATCH_THREAD = False
OUTGOING_THREAD = False
FHIR_THREAD = False
ACCOUNT_RATE_LIMITS = False
METRICS_TOKEN, METRICS_DIR = "", None
AUDIT_ANCHOR = None  # tests roll back or flush the log, and the anchor never moves back
ACCOUNT_LIMITS = {}

# Pages and readings are tested with a model that reads synthetic films, whichever ships.
SHIPPED_MODEL = "pneumonia-2"
SHIPPED_BUNDLE_DIR = BASE_DIR / "tests" / "bundles"  # noqa: F405
