"""gunicorn's configuration, used by `make run` and in production."""

import logging
import os
from typing import Any

from xraysite.server import succession

wsgi_app = "xraysite.wsgi:application"
# Receives requests completely before a thread works on them; see docs/decisions/0032.
worker_class = "xraysite.server.worker.BufferingWorker"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = int(os.environ.get("WEB_THREADS", "4"))
# Each worker loads the model itself: LiteRT sessions do not survive a fork.
preload_app = False
timeout = 60
graceful_timeout = 30
keepalive = 5
# Of each worker; the oldest that waits for its client is closed for one more.
worker_connections = int(os.environ.get("WEB_CONNECTIONS", "1000"))
max_requests = 10_000
max_requests_jitter = 1_000
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108, PTH112
control_socket_disable = True


on_reload = succession.expect_successors


def post_worker_init(worker: Any) -> None:
    """Load the model and start the decoders, so that the first reading does not wait for them."""
    from mlcore import registry
    from xraysite.common.decoders import pool

    try:
        registry.warm_up()
    except Exception:  # without a model, the site still shows histories and explains the problem
        logging.getLogger(__name__).exception("The active model could not be loaded.")
    try:
        pool.shared_pool().warm_up()
    except pool.DecoderUnavailableError:
        # Logged by the pool; the site still shows histories and tries again at each upload.
        return
