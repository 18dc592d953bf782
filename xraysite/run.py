"""`make run`: set up the site in an installed environment and start a local server.

Uses the production server (gunicorn) with the local settings. Can be repeated; existing data are
kept.
"""

import argparse
import os
import socket
import sys

import django
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError


def say(text: str) -> None:
    print(text, flush=True)


def fail(text: str) -> None:
    sys.exit(f"\nxraysite: {text}\n")


def require_free_port(host: str, port: int) -> None:
    """Exit with instructions if `port` is not available."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Like gunicorn, treat a port with a lingering closed connection as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            fail(
                f"{host}:{port} cannot be used ({error.strerror}). "
                f"Stop what runs there, or choose another port: make run PORT={port + 1}"
            )


def prepare() -> None:
    """Prepare the database, static files, accounts and the active model."""
    say("[1/4] Database: applying migrations ...")
    call_command("migrate", interactive=False, verbosity=0)
    say("[2/4] Static files: collecting ...")
    call_command("collectstatic", interactive=False, verbosity=0)
    say("[3/4] Model:")
    from mlcore import registry

    active = registry.active_version()
    if active is None:
        call_command("activate_model", settings.SHIPPED_MODEL)
    else:
        say(f"  {active} is active.")
        if not active.folder.is_dir():
            say(
                f"  Its folder is missing, so no X-ray can be read. Copy it from the earlier "
                f"version's mlcore/bundles/ to {settings.BUNDLE_DIR}."
            )
        if active.name != settings.SHIPPED_MODEL:
            say(
                f"  This version ships {settings.SHIPPED_MODEL}; to read films with it: manage.py "
                f"activate_model {settings.SHIPPED_MODEL}"
            )
    say("[4/4] Accounts:")
    call_command("create_demo_accounts")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    arguments = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "xraysite.settings.local")
    require_free_port(arguments.host, arguments.port)
    django.setup()
    try:
        prepare()
    except (CommandError, DatabaseError, OSError) as error:
        fail(f"set-up stopped: {error}")
    say(f"\nServing on http://{arguments.host}:{arguments.port}  (Ctrl-C stops)\n")
    gunicorn = [
        sys.executable,
        "-m",
        "gunicorn",
        "--config",
        "python:xraysite.gunicorn",
        "--bind",
        f"{arguments.host}:{arguments.port}",
        "--log-level",
        "warning",
    ]
    os.execv(sys.executable, gunicorn)  # noqa: S606 - our own interpreter and arguments


if __name__ == "__main__":
    main()
