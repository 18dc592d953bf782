"""A site in folders of its own, operated through `manage.py` as an operator does."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests import migrated
from tests.locks import ROOT
from xraysite.settings import base

START = """
import sys
import django
django.setup()
"""
# Uploads films until a file appears, and prints the id of each reading once it is committed.
WORK = """
import datetime, itertools, uuid
from pathlib import Path
from accounts import avatars, roles, services
from accounts.models import User
from diagnosis.services.patients import PatientDetails
from diagnosis.services.readings import submit_reading
from diagnosis.validators import validate_film_bytes
from tests.films import encode, synthetic_film
doctor = User.objects.filter(email="d@example.org").first() or services.create_account(
    email="d@example.org", display_name="王怡君", password="x" * 20, role=roles.DOCTOR
)
picture = encode(synthetic_film("NORMAL", seed=1, size=64), "png")
first, last = int(sys.argv[1]), int(sys.argv[2])
for seed in range(first, last):
    film = encode(synthetic_film("NORMAL", seed=seed, size=200), "png")
    patient = PatientDetails(f"病人 {seed}", 3, datetime.date(2026, 1, 2), number=f"P{seed}")
    reading = submit_reading(
        doctor=doctor, upload=validate_film_bytes(film, "film.png"), patient=patient,
        submission=uuid.uuid4(),
    )
    if seed % 5 == 0:
        avatars.change_avatar(user=doctor, data=picture)
    print(reading.pk, flush=True)
    if Path(sys.argv[3]).exists():
        break
"""
# Prints every row of every table.
ROWS = """
import json
from django.apps import apps
from django.db.models import QuerySet
print(json.dumps({
    model._meta.db_table: [
        [bytes(value).hex() if isinstance(value, (bytes, memoryview))
         else json.dumps(value, sort_keys=True) if isinstance(value, (dict, list))
         else str(value)
         for value in row]
        for row in QuerySet(model).order_by("pk").values_list()
    ]
    for model in apps.get_models(include_auto_created=True)
    if not model._meta.swapped
}))
"""


class Site:
    """A site with local settings.

    Args:
        folder: for everything that it writes.
        database_url: defaults to SQLite in the folder.
    """

    def __init__(self, folder: Path, database_url: str = "", **environment: str) -> None:
        self.var = folder / "var"
        self.has_sqlite = not database_url
        self.environment = (
            {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
            | {
                "DJANGO_SETTINGS_MODULE": "xraysite.settings.local",
                "XRAYSITE_VAR": str(self.var),
                "PYTHONPATH": str(ROOT),
                "LOG_LEVEL": "ERROR",
            }
            | ({"DATABASE_URL": database_url} if database_url else {})
            | environment
        )

    def migrate(self) -> None:
        """Make the tables."""
        if self.has_sqlite and not self.var.exists():
            migrated.copy_to(self.var)
        else:
            self.manage("migrate", "--verbosity", "0")

    def set_up(self) -> None:
        """Make the tables and activate the shipped model."""
        if self.has_sqlite and not self.var.exists():
            migrated.copy_to(self.var, with_model=True)
            return
        self.manage("migrate", "--verbosity", "0")
        self.manage("activate_model", base.SHIPPED_MODEL)

    def start(self, *arguments: object) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            cwd=ROOT, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *arguments: object, fails: bool = False) -> str:
        """Run Python and return what it printed; on a failure, also its errors."""
        process = self.start(*arguments)
        out, errors = process.communicate(timeout=300)
        assert (process.returncode != 0) == fails, out + errors
        return out + errors if fails else out

    def manage(self, *arguments: object, fails: bool = False) -> str:
        return self.run("manage.py", *arguments, fails=fails)

    def script(self, code: str, *arguments: object) -> str:
        return self.run("-c", START + code, *arguments)

    def work(self, first: int, last: int, stop: Path) -> "subprocess.Popen[str]":
        """Start uploading films, until `stop` exists."""
        return self.start("-c", START + WORK, first, last, stop)

    def worked(self, first: int, last: int) -> list[str]:
        """Upload films and return the ids of their readings."""
        return self.script(WORK, first, last, self.var / "never").split()

    def rows(self) -> dict[str, list[list[Any]]]:
        rows: dict[str, list[list[Any]]] = json.loads(self.script(ROWS))
        return rows

    def films(self) -> dict[str, bytes]:
        """Return every stored film, profile picture and board image."""
        private = self.var / "private"
        folders = (private / "films" / "original", private / "files")
        return {
            path.relative_to(private).as_posix(): path.read_bytes()
            for folder in folders
            for path in folder.rglob("*")
            if path.is_file()
        }


def until(condition: Any, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
