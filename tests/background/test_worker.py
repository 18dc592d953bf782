"""Real workers, killed in the middle of their work, on SQLite and PostgreSQL."""

import random
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest

from tests import postgres
from tests.background.mail_server import MailServer, mail_server
from tests.site.sites import Site, until

pytestmark = pytest.mark.xdist_group("workers")

# Seconds after which a worker counts as dead.
DEAD_AFTER = 3
SEND = """
from django.core.mail import EmailMessage
from django.db import transaction
from xraysite.common.background.mails import AtMostOnceMessage
kind = AtMostOnceMessage if sys.argv[1] == "once" else EmailMessage
with transaction.atomic():
    for number in range(int(sys.argv[2])):
        kind(f"Email {number}", "Body", to=["a@example.org"]).send()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[MailServer]:
    with mail_server() as found:
        yield found


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def site(request, server, tmp_path_factory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("workers")
    environment = {
        "TASK_ENGINE": "database", "WORKER_DEAD_AFTER": str(DEAD_AFTER), "EMAIL_URL": server.url,
    }  # fmt: skip
    if request.param == "sqlite":
        site = Site(folder, **environment)
        site.migrate()
        yield site
        return
    if not postgres.is_available():
        pytest.skip("NOT TESTED on PostgreSQL: its server is not installed")
    with postgres.server() as url:
        site = Site(folder, postgres.create_database(url, "workers"), **environment)
        site.migrate()
        yield site


@pytest.fixture(autouse=True)
def _empty_queue(site, server) -> None:
    query(site, "DELETE FROM background_mail")
    query(site, "DELETE FROM background_worker")
    query(site, "DELETE FROM django_tasks_database_dbtaskresult")
    server.received.clear()
    server.stopped.clear()


def query(site: Site, statement: str) -> list[tuple[Any, ...]]:
    if url := site.environment.get("DATABASE_URL"):
        with psycopg.connect(url) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []
    with closing(sqlite3.connect(site.var / "db.sqlite3", timeout=20)) as connection, connection:
        return connection.execute(statement).fetchall()


def states(site: Site) -> list[str]:
    return sorted(state for (state,) in query(site, "SELECT state FROM background_mail"))


def outcomes(site: Site) -> list[tuple[Any, ...]]:
    return query(site, "SELECT status, traceback FROM django_tasks_database_dbtaskresult")


@contextmanager
def worker(site: Site, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    process = site.start(
        "manage.py", "db_worker", "--interval", "0.1", "--no-startup-delay", *arguments
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("kind", "killed_at", "received", "state"),
    [
        ("repeated", "MAIL", 1, "SENT"),
        ("repeated", "DATA", 2, "SENT"),
        ("once", "MAIL", 0, "UNCERTAIN"),
        ("once", "DATA", 1, "UNCERTAIN"),
    ],
)
def test_email_of_a_worker_killed_while_it_sends(site, server, kind, killed_at, received, state):
    """At least once, recognizable as the same email, or at most once and reported."""
    server.stop_at = killed_at
    site.script(SEND, kind, 1)
    with worker(site) as first:
        assert server.stopped.wait(60)
        first.kill()
        first.wait()
    server.stop_at = None
    assert states(site) == ["SENDING"]
    with worker(site):
        until(lambda: states(site) == [state])
        until(lambda: outcomes(site)[0][0] != "RUNNING")
    ids = server.ids()
    assert len(ids) == received
    assert len(set(ids)) == min(received, 1)
    ((status, reason),) = outcomes(site)
    assert status == ("SUCCESSFUL" if state == "SENT" else "FAILED")
    assert ("It may have arrived" in reason) == (state == "UNCERTAIN")


def test_no_email_is_lost_whichever_worker_is_killed(site, server):
    """Two workers at a time, of which one after the other is killed at some moment."""
    number, kills = 40, 3
    site.script(SEND, "repeated", number)
    choice = random.Random(7)
    with worker(site):
        for kill in range(kills):
            with worker(site):
                wanted = (kill + 1) * number // (kills + 2)
                until(lambda wanted=wanted: len(server.received) >= wanted)
                until(lambda: choice.random() < 0.3)
        until(lambda: states(site) == ["SENT"] * number)
    ids = server.ids()
    assert len(set(ids)) == number
    assert len(ids) - number <= kills


def test_a_worker_that_is_told_to_stop_finishes_its_task(site, server):
    server.stop_at = "DATA"
    site.script(SEND, "once", 1)
    with worker(site) as process:
        assert server.stopped.wait(60)
        process.send_signal(signal.SIGTERM)
        server.stop_at = None
        assert process.wait(30) == 0
    assert states(site) == ["SENT"]
    assert len(server.received) == 1
    assert query(site, "SELECT * FROM background_worker") == []


def test_a_worker_that_was_declared_dead_ends(site):
    """Its task may already belong to another."""
    with worker(site) as process:
        until(lambda: query(site, "SELECT 1 FROM background_worker"))
        query(site, "DELETE FROM background_worker")
        assert process.wait(30) == 75
        assert "was declared dead" in process.stderr.read()


def test_a_worker_that_is_alive_keeps_its_task(site, server):
    """However long the task takes."""
    server.stop_at = "MAIL"
    site.script(SEND, "repeated", 1)
    with worker(site), worker(site):
        assert server.stopped.wait(60)
        until(lambda: len(query(site, "SELECT 1 FROM background_worker")) == 2)
        # The other one looks for tasks of dead workers all the time.
        assert not _becomes_true(lambda: len(attempts(site)) != 1, seconds=2.5 * DEAD_AFTER)
        server.stop_at = None
        until(lambda: states(site) == ["SENT"])
    assert len(server.received) == 1


def attempts(site: Site) -> list[Any]:
    ((found,),) = query(site, "SELECT attempts FROM background_mail")
    return [found] * found


def _becomes_true(condition: Any, *, seconds: float) -> bool:
    try:
        until(condition, seconds)
    except AssertionError:
        return False
    return True
