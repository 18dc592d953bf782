"""A restart behind a socket that stays open, as `deploy/systemd/xraysite.socket` holds it."""

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.locks import ROOT
from tests.server.slow_clients import fetch, others

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("served-site")]
SECONDS = 300
# systemd passes the socket as descriptor 3 and names the process that it is for.
ACTIVATED = 'exec 3<&"$0"; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"'
PREPARE = "import django; django.setup()\nfrom xraysite.run import prepare; prepare()"


def start(held: socket.socket, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    number = held.fileno()
    return subprocess.Popen(
        ["sh", "-c", ACTIVATED, str(number), sys.executable, "-m", "gunicorn",
         "--config", "python:xraysite.gunicorn", "--log-level", "warning"],
        cwd=ROOT, env=environment, pass_fds=[number],
    )  # fmt: skip


def test_restart_loses_no_request(tmp_path: Path):
    environment = os.environ | {
        "XRAYSITE_VAR": str(tmp_path / "var"),
        "DJANGO_SETTINGS_MODULE": "xraysite.settings.local",
    }
    subprocess.run([sys.executable, "-c", PREPARE], cwd=ROOT, env=environment, check=True)
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as held:
        address = held.getsockname()
        process = start(held, environment)
        try:
            assert fetch(address, "/healthz", timeout=SECONDS) == 200

            def restart() -> None:
                nonlocal process
                time.sleep(2)
                process.terminate()
                assert process.wait(timeout=SECONDS) == 0
                process = start(held, environment)

            restarting = threading.Thread(target=restart)
            restarting.start()
            noticed = others(
                lambda: fetch(address, "/accounts/login/", timeout=SECONDS), seconds=20, pause=0.02
            )
            restarting.join()
        finally:
            process.terminate()
            process.wait(timeout=SECONDS)
    sys.stderr.write(
        f"\n{len(noticed.seconds)} answered, {len(noticed.failures)} failed; "
        f"p50 {noticed.quantile(0.5):.3f}, longest {noticed.quantile(1):.3f} s\n"
    )
    assert noticed.failures == []
    assert len(noticed.seconds) > 10
