"""A PostgreSQL server of the tests' own, where its programs are installed."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PLACES = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
USER = "postgres"


def program(name: str) -> str | None:
    """Return the path of a program of PostgreSQL's server; None if it is not installed."""
    return next((str(place / name) for place in PLACES if (place / name).is_file()), None)


def is_available() -> bool:
    return program("initdb") is not None and (
        os.getuid() != 0 or shutil.which("runuser") is not None
    )


def _as_user(*command: str) -> list[str]:
    """PostgreSQL refuses to run as root."""
    return ["runuser", "-u", USER, "--", *command] if os.getuid() == 0 else list(command)


@contextmanager
def server(*, durable: bool = False) -> Iterator[str]:
    """Run a server and yield its URL without the database's name: postgres://…/.

    Args:
        durable: whether commits are synced to disk, as in production.
    """
    folder = Path(tempfile.mkdtemp(prefix="xraysite-postgres-"))
    if os.getuid() == 0:
        shutil.chown(folder, USER)
    data = str(folder / "data")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    initdb, pg_ctl = str(program("initdb")), str(program("pg_ctl"))
    options = (
        f"-p {port} -c listen_addresses=127.0.0.1 -c fsync={'on' if durable else 'off'} -k {folder}"
    )
    try:
        _run(initdb, "-D", data, "-A", "trust", "-U", USER, "--no-sync", "-E", "UTF8")
        _run(pg_ctl, "-D", data, "-o", options, "-l", str(folder / "log"), "-w", "start")
        try:
            yield f"postgres://{USER}@127.0.0.1:{port}/"
        finally:
            _run(pg_ctl, "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder)


def _run(*command: str) -> None:
    subprocess.run(_as_user(*command), check=True, cwd="/", stdout=subprocess.DEVNULL)


def create_database(url: str, name: str) -> str:
    """Create an empty database and return its URL."""
    import psycopg

    with psycopg.connect(f"{url}postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return url + name
