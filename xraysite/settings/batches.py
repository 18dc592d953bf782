"""Settings of batches of X-rays."""

from xraysite.common import env

BATCH_MAX_FILES = env.whole_number("BATCH_MAX_FILES", default=500)
# The server receives a ZIP file in one request, whose body may have 256 MiB.
BATCH_MAX_ZIP_BYTES = 240 * 2**20
# Days for which X-rays wait for patient data or a decision; then they are removed.
BATCH_KEEP_DAYS = env.whole_number("BATCH_KEEP_DAYS", default=14)
# Without workers, a thread of the web process reads batches. Tests read them themselves.
BATCH_THREAD = True
