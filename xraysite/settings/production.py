"""Settings for a hospital's server, which does not start without a secret and a host name."""

from xraysite.common import env

from .base import *  # noqa: F403

DEBUG = False
SECRET_KEY = env.secret("SECRET_KEY")
# Earlier keys of this site; without AUDIT_KEY, older rows of the audit log are sealed with them.
SECRET_KEY_FALLBACKS = env.env.list("SECRET_KEY_FALLBACKS", default=[])
if env.env.str("AUDIT_KEY", default=""):
    AUDIT_KEY = env.secret("AUDIT_KEY")
ALLOWED_HOSTS = env.env.list("ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = env.origins("CSRF_TRUSTED_ORIGINS")
SITE_URL = env.env.str("SITE_URL", default=next(iter(CSRF_TRUSTED_ORIGINS), "")).rstrip("/")

SECURE_SSL_REDIRECT = env.env.bool("SECURE_SSL_REDIRECT", default=True)
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = 365 * 24 * 3600
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
LANGUAGE_COOKIE_SECURE = True
SESSION_COOKIE_NAME = "__Host-sessionid"
CSRF_COOKIE_NAME = "__Host-csrftoken"

# Set this only if your proxy always sets the header itself and never passes on the client's.
if env.env.bool("BEHIND_TLS_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
