"""Settings of the results that are sent to other systems."""

from xraysite.common import env

# A folder with files of tokens, each named as a target names its token.
OUTGOING_TOKENS = env.env.str("OUTGOING_TOKENS", default="")
# For TLS: certificates that are trusted besides those of the system, and the site's own
# certificate with its key, for systems that ask for one. Files in PEM form.
OUTGOING_TLS_CA = env.env.str("OUTGOING_TLS_CA", default="")
OUTGOING_TLS_CERTIFICATE = env.env.str("OUTGOING_TLS_CERTIFICATE", default="")
OUTGOING_TLS_KEY = env.env.str("OUTGOING_TLS_KEY", default="")
# Seconds for each answer of another system.
OUTGOING_TIMEOUT = env.whole_number("OUTGOING_TIMEOUT", default=30)
# Without workers, a thread of the web process sends. Tests send themselves.
OUTGOING_THREAD = True
