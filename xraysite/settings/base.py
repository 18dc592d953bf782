"""Settings shared by every installation; what differs comes from the environment."""

from pathlib import Path
from typing import Any

from django.utils.translation import gettext_lazy as _

from xraysite.common import env

from .batches import *  # noqa: F403
from .dicom import *  # noqa: F403
from .fhir import *  # noqa: F403
from .headers import *  # noqa: F403
from .outgoing import *  # noqa: F403
from .sso import *  # noqa: F403

BASE_DIR = Path(__file__).resolve().parent.parent.parent
# Everything that the site writes. `xraysite.common.private_files` sets its mode to 0700.
VAR_DIR = env.directory("XRAYSITE_VAR", default=BASE_DIR / "var")

INSTALLED_APPS = [
    "xraysite",
    "accounts",
    "accounts.tokens",
    "auditlog",  # after accounts, which replaces its management commands
    "diagnosis",
    "forum",
    "mlcore",
    "exchange.incoming",
    "exchange.orders",
    "exchange.outgoing",
    "exchange.dicomweb",
    "exchange.fhir",
    "exchange.api",
    "exchange.deidentify",
    "xraysite.common.background",
    "django_tasks",
    "xraysite.apps.TaskQueueConfig",  # after xraysite, which replaces its command db_worker
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.usersessions",
    "accounts.sso",  # after allauth.socialaccount, whose pages in the admin it removes
    "crispy_forms",
    "crispy_bootstrap5",
    "django_filters",
    "django_htmx",
    "xraysite.apps.OfficeAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.forms",
]

MIDDLEWARE = [
    "xraysite.common.request_log.RequestLogMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_permissions_policy.PermissionsPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "xraysite.common.null_characters.NullCharactersMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "accounts.middleware.TokenMiddleware",
    "accounts.middleware.ApprovalRequiredMiddleware",
    "accounts.middleware.TwoFactorRequiredMiddleware",
    "accounts.middleware.PrivatePagesMiddleware",
    "accounts.middleware.AuditMiddleware",
    "accounts.middleware.SessionLimitsMiddleware",
    "accounts.middleware.TimeZoneMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "xraysite.common.decoders.turns.DecoderTurnsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

# Addresses for programs: a token counts there, and a session does not.
TOKEN_PATHS = ("/api/", "/dicomweb/", "/fhir/")

ROOT_URLCONF = "xraysite.urls"
WSGI_APPLICATION = "xraysite.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "xraysite.context_processors.site",
                "accounts.context_processors.waiting",
                "accounts.context_processors.session",
                "forum.context_processors.board",
            ],
            "builtins": ["xraysite.templatetags.dates", "xraysite.templatetags.icons"],
        },
    },
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"
CRISPY_ALLOWED_TEMPLATE_PACKS = "bootstrap5"
CRISPY_TEMPLATE_PACK = "bootstrap5"

# --- Data -------------------------------------------------------------------------------------

DATABASES = {"default": env.database("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'db.sqlite3'}")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# In the database, so that all processes and machines share one rate limit. Its `add` is atomic, as
# the locks of allauth's rate limits require; that of the file-based cache is not.
CACHES = {
    "default": {
        "BACKEND": "xraysite.common.cache.StrictDatabaseCache",
        "LOCATION": "xraysite_cache",
        # Far more than a flood of sign-ins can create: culled entries would reset their limits.
        "OPTIONS": {"MAX_ENTRIES": 20_000},
    }
}

# Films are stored here under their SHA-256. Only `diagnosis.serving` serves them; no URL maps here.
PRIVATE_MEDIA_ROOT = env.directory("PRIVATE_MEDIA_ROOT", default=VAR_DIR / "private")
STORAGES = {
    "default": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": PRIVATE_MEDIA_ROOT / "files"},
    },
    "films": {
        "BACKEND": "diagnosis.storage.AtomicFileStorage",
        "OPTIONS": {"location": PRIVATE_MEDIA_ROOT / "films"},
    },
    "staticfiles": {"BACKEND": "xraysite.staticfiles.HashedStaticFilesStorage"},
}
# Instead, X-rays and images may be in a bucket of an object store.
STORAGE = env.choice("STORAGE", choices=["disk", "s3"], default="disk")
if STORAGE == "s3":
    STORAGES |= env.bucket_storages()

FILM_MAX_BYTES = 64 * 2**20
FILM_MAX_PIXELS = 64_000_000
# With less free space on the disk of the films or of the database, no film is accepted.
MIN_FREE_BYTES = env.whole_number("MIN_FREE_MB", default=512) * 2**20
# Processes of each web process that decode uploaded files; web processes, and threads of each for
# pages, beside which it has two for uploads for each decoder.
DECODERS = env.whole_number("DECODERS", default=2)
WEB_CONCURRENCY = env.whole_number("WEB_CONCURRENCY", default=2)
WEB_THREADS = env.whole_number("WEB_THREADS", default=4, least=2)
# Connections that one address may hold in each web process; see `xraysite.server`.
WEB_CONNECTIONS_PER_ADDRESS = env.whole_number("WEB_CONNECTIONS_PER_ADDRESS", default=500, least=10)
FILE_UPLOAD_HANDLERS = [
    "xraysite.common.uploads.LimitedUploadHandler",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "xraysite.common.uploads.TemporaryUploadHandler",
]
# On the films' disk and equally private: larger uploads are kept here until they are read.
FILE_UPLOAD_TEMP_DIR = PRIVATE_MEDIA_ROOT / "uploads"
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o700

# What one account may do: as many times in a span as the rates say.
ACCOUNT_LIMITS = {
    "upload": env.rates("LIMIT_UPLOADS", default="200/h,1000/d"),
    "topic": env.rates("LIMIT_TOPICS", default="10/h,40/d"),
    "post": env.rates("LIMIT_POSTS", default="60/h,300/d"),
    "picture": env.rates("LIMIT_PICTURES", default="60/h,300/d"),
    "share": env.rates("LIMIT_SHARED_CASES", default="20/h,60/d"),
    "export": env.rates("LIMIT_EXPORTS", default="20/h"),
    # Requests of programs over DICOMweb. A viewer sends about ten to open an X-ray.
    "dicomweb": env.rates("LIMIT_DICOMWEB", default="600/5m"),
}
# Storage of each doctor's X-rays, deleted ones included until they are purged; 0: no limit.
DOCTOR_QUOTA_BYTES = env.whole_number("DOCTOR_QUOTA_GB", default=50, least=0) * 2**30

# An X-ray that has waited so long for its doctor rises to the top of the worklist, whatever the
# model said.
WORKLIST_MAX_WAIT_HOURS = env.whole_number("WORKLIST_MAX_WAIT_HOURS", default=24)

# Retention period of deleted readings, except those created by mistake.
RETENTION_YEARS = env.whole_number("RETENTION_YEARS", default=7)

# Whether X-rays may wait in the browser while there is no connection. Switched off, browsers delete
# what waits, and their service workers remove themselves.
OFFLINE = env.env.bool("OFFLINE", default=True)

# Pages of other origins, such as an OHIF viewer, that may use DICOMweb in a browser.
DICOMWEB_ORIGINS: list[str] = env.origins("DICOMWEB_ORIGINS")

# --- The model --------------------------------------------------------------------------------

# The bundle shipped with this version. It is active until another one is activated.
SHIPPED_MODEL = "pneumonia-3"
SHIPPED_BUNDLE_DIR = BASE_DIR / "mlcore" / "bundles"
# Locally trained bundles. A bundle is looked up here first, then among the shipped ones.
BUNDLE_DIR = env.directory("BUNDLE_DIR", default=VAR_DIR / "bundles")
INFERENCE_TIMEOUT_S = 10

# --- Accounts ---------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.backends.ApprovedAccountBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "home"

# Whether anybody may apply for an account. A supervisor reviews every application.
SIGNUP_OPEN = env.env.bool("SIGNUP_OPEN", default=True)

ACCOUNT_ADAPTER = "accounts.allauth.adapters.AccountAdapter"
ACCOUNT_FORMS = {
    "login": "accounts.allauth.account_forms.SignInForm",
    "signup": "accounts.allauth.account_forms.SignUpForm",
    "add_email": "accounts.allauth.account_forms.ChangeEmailForm",
    "change_password": "accounts.allauth.account_forms.ChangePasswordForm",
    "reset_password": "accounts.allauth.account_forms.ForgotPasswordForm",
    "reset_password_from_key": "accounts.allauth.account_forms.NewPasswordForm",
    "reauthenticate": "accounts.allauth.account_forms.ConfirmPasswordForm",
}
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_CONFIRM_EMAIL_ON_GET = False
# Opening the link in the browser that signed up redirects to the status page.
ACCOUNT_LOGIN_ON_EMAIL_CONFIRMATION = True
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = "[xraysite] "
ACCOUNT_SESSION_REMEMBER = None
ACCOUNT_USER_DISPLAY = "accounts.models.display_name"
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = False
# Ask for the password again, so that an unlocked screen is not enough to take over an account.
ACCOUNT_REAUTHENTICATION_REQUIRED = True
# Other actions keep allauth's limits. A whole hospital may share one IP address, and change shifts
# within minutes.
ACCOUNT_RATE_LIMITS: dict[str, str] | bool = {
    "login": "600/m/ip",
    "sso": "600/m/ip",
    "login_failed": "20/m/ip,5/5m/key",
    # From any address: the number of consecutive failures that NIST SP 800-63B allows, per hour.
    "login_failed_anywhere": "100/h/key",
    # In a browser that signed in to the account before, whatever others try elsewhere.
    "login_failed_on_known_device": "5/5m/key,20/h/key",
    "reset_password": "20/h/ip,5/h/key",
    "signup": "20/h/ip",
}
PASSWORD_RESET_TIMEOUT = 3600

MFA_RATE_LIMITS = {"webauthn_login": "600/m/ip"}
MFA_ADAPTER = "accounts.allauth.adapters.MFAAdapter"
MFA_FORMS = {
    "authenticate": "accounts.allauth.mfa_forms.CodeForm",
    "reauthenticate": "accounts.allauth.mfa_forms.ConfirmCodeForm",
    "activate_totp": "accounts.allauth.mfa_forms.SetUpAppForm",
    "add_webauthn": "accounts.allauth.mfa_forms.AddKeyForm",
    "edit_webauthn": "accounts.allauth.mfa_forms.RenameKeyForm",
}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "xraysite"
USERSESSIONS_TRACK_ACTIVITY = False
USERSESSIONS_ADAPTER = "accounts.allauth.adapters.SessionsAdapter"

# Unless "Stay signed in" was ticked; such sessions end after SESSION_COOKIE_AGE.
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_COOKIE_AGE = 14 * 24 * 3600
# Regardless of that choice, inactive sessions end, and staff sessions end after a shift.
SESSION_IDLE_SECONDS = env.env.int("SESSION_IDLE_MINUTES", default=30) * 60
STAFF_SESSION_SECONDS = env.env.int("STAFF_SESSION_HOURS", default=8) * 3600
# What open pages ask for by themselves; it does not count as activity.
BACKGROUND_URLS = ["accounts:session", "readings:changes"]
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"

EMAIL_CONFIG = env.env.email_url("EMAIL_URL", default="consolemail://")
vars().update(EMAIL_CONFIG)
EMAIL_TIMEOUT = 10  # seconds; without workers, a page may wait this long
DEFAULT_FROM_EMAIL = env.env.str("DEFAULT_FROM_EMAIL", default="xraysite@localhost")

# Proxies whose client addresses are trusted: networks, or "unix" for a proxy at a Unix socket.
TRUSTED_PROXIES = env.networks("TRUSTED_PROXIES")

# --- Background tasks -------------------------------------------------------------------------

# Where tasks run: at once, where they are enqueued; in `manage.py db_worker`, from a queue in the
# database; or in RQ's workers, from a queue in Redis.
TASK_ENGINES = {
    "immediate": "django_tasks.backends.immediate.ImmediateBackend",
    "database": "django_tasks_db.DatabaseBackend",
    "rq": "django_tasks_rq.RQBackend",
}
TASK_ENGINE = env.choice("TASK_ENGINE", choices=list(TASK_ENGINES), default="immediate")
# Reading batches of X-rays has a queue of its own, so that it can have a worker of its own.
TASK_QUEUES = ["default", "readings"]
TASKS = {"default": {"BACKEND": TASK_ENGINES[TASK_ENGINE], "QUEUES": TASK_QUEUES}}
if TASK_ENGINE == "rq":
    INSTALLED_APPS.append("django_rq")
    REDIS_URL = env.env.str("REDIS_URL", default="redis://127.0.0.1:6379/0")
    RQ_QUEUES = {name: {"URL": REDIS_URL} for name in TASK_QUEUES}
# The backend that hands emails to the mail server. With workers, emails are stored and a task sends
# them; without, the page sends them and says so if that fails.
EMAIL_DELIVERY_BACKEND: str = EMAIL_CONFIG["EMAIL_BACKEND"]
if TASK_ENGINE != "immediate":
    EMAIL_BACKEND = "xraysite.common.background.mail_backend.QueuedEmailBackend"
# A worker that has not said for so many seconds that it is alive is dead; others take up its task.
WORKER_DEAD_AFTER = env.whole_number("WORKER_DEAD_AFTER", default=60, least=2)
# Tasks that wait for more than so many minutes are an alarm.
QUEUE_MAX_MINUTES = env.whole_number("QUEUE_MAX_MINUTES", default=10)
# For links in emails that no page sends.
SITE_URL = env.env.str("SITE_URL", default="http://127.0.0.1:8000").rstrip("/")

# --- Language and time ------------------------------------------------------------------------

LANGUAGE_CODE = "zh-hant"
LANGUAGES = [("zh-hant", _("Traditional Chinese")), ("en", _("English"))]
# The first has the texts of this project, the second improved texts of libraries.
LOCALE_PATHS = [BASE_DIR / "locale", BASE_DIR / "locale_overrides"]
FORMAT_MODULE_PATH = "xraysite.formats"
LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
TIME_ZONE = "Asia/Taipei"
USE_TZ = True

# --- Static files -----------------------------------------------------------------------------

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]

# --- Audit log --------------------------------------------------------------------------------

AUDITLOG_INCLUDE_ALL_MODELS = False
AUDITLOG_LOGENTRY_MODEL = "accounts.AuditEntry"
AUDITLOG_CID_HEADER = None  # do not log a header that clients can set
# Seals the log. Without it, SECRET_KEY does; with it, SECRET_KEY can be changed on its own.
AUDIT_KEY = ""
AUDIT_KEY_FALLBACKS: list[str] = env.env.list("AUDIT_KEY_FALLBACKS", default=[])
# Names the newest row of the log outside the database; see `accounts.audit.anchor`.
AUDIT_ANCHOR: Path | None = env.directory("AUDIT_ANCHOR", default=VAR_DIR / "audit_anchor")

# --- Logs and metrics -------------------------------------------------------------------------

LOG_FORMATTERS = {
    "plain": {
        "()": "xraysite.common.log_format.PlainFormatter",
        "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
    },
    "json": {"()": "xraysite.common.log_format.JSONFormatter"},
}
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": LOG_FORMATTERS,
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": env.choice("LOG_FORMAT", choices=list(LOG_FORMATTERS), default="plain"),
        }
    },
    "root": {"handlers": ["stderr"], "level": env.env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        # One line per request.
        "xraysite.access": {
            "level": "INFO" if env.env.bool("ACCESS_LOG", default=True) else "WARNING"
        },
        # Says with the URL what the access log says with the pattern.
        "django.request": {"level": "ERROR"},
        # Reasons that may quote what a provider sent; `accounts.sso.problems` logs its own.
        "allauth.socialaccount": {"level": "CRITICAL"},
    },
}
# Opens /metrics to monitors that send it as a bearer token; without it, the address does not exist.
METRICS_TOKEN = env.secret("METRICS_TOKEN", min_length=20, default="")
# Shared by all processes of this machine, in memory rather than on a disk that may be full.
METRICS_DIR = (
    env.directory("METRICS_DIR", default=env.memory_folder(VAR_DIR)) if METRICS_TOKEN else None
)
