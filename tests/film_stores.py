"""The two film storages, as tests look into them: a folder, and a bucket of a real S3 server."""

import datetime
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.files.storage import storages

BUCKET = "films-of-tests"


class DiskStore:
    """The folder of the test's settings."""

    name = "disk"

    @property
    def root(self) -> Path:
        return Path(storages["films"].path(""))

    def names(self, folder: str = "") -> list[str]:
        """Return the names of all files in a folder, without the folders before them."""
        return sorted(path.name for path in (self.root / folder).rglob("*") if path.is_file())

    def age(self, seconds: float) -> None:
        """Make all files as old as this."""
        when = time.time() - seconds
        for path in self.root.rglob("*"):
            if path.is_file():
                os.utime(path, (when, when))

    def write(self, name: str, content: bytes) -> None:
        """Replace a file behind the site's back."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(content)

    def delete(self, name: str) -> None:
        (self.root / name).unlink()

    def has(self, name: str) -> bool:
        return (self.root / name).is_file()

    def unmark(self, name: str) -> None:
        """Make a film as earlier versions stored it."""
        (self.root / name).chmod(0o600)


class BucketStore:
    """A bucket of `server`."""

    name = "s3"

    def __init__(self, objects: Any) -> None:
        self.objects = objects

    def _all(self) -> list[str]:
        return [key.removeprefix("films/") for key in self.objects if key.startswith("films/")]

    def names(self, folder: str = "") -> list[str]:
        found = [name for name in self._all() if not name.startswith("confirmed/")]
        below = f"{folder}/" if folder else ""
        return sorted(name.rpartition("/")[2] for name in found if name.startswith(below))

    def age(self, seconds: float) -> None:
        when = datetime.datetime.fromtimestamp(time.time() - seconds, datetime.UTC)
        for name in self._all():
            self.objects[f"films/{name}"].last_modified = when.replace(tzinfo=None)

    def write(self, name: str, content: bytes) -> None:
        storages["films"].bucket.put_object(Key=f"films/{name}", Body=content)

    def delete(self, name: str) -> None:
        storages["films"].bucket.Object(f"films/{name}").delete()

    def has(self, name: str) -> bool:
        return f"films/{name}" in self.objects

    def unmark(self, name: str) -> None:
        self.delete(f"confirmed/{name}")


@contextmanager
def server() -> Iterator[tuple[str, Any]]:
    """Run an S3 server on the loopback interface; yield its URL and the objects of the bucket."""
    import boto3
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends
    from moto.server import ThreadedMotoServer

    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    try:
        host, port = running.get_host_and_port()
        url = f"http://{host}:{port}"
        client = boto3.client("s3", endpoint_url=url, **CREDENTIALS, region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        yield url, s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[BUCKET].keys
    finally:
        running.stop()


CREDENTIALS = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}


def environment(url: str) -> dict[str, str]:
    """Return the environment of a site with its films in the bucket."""
    return {
        "STORAGE": "s3", "S3_BUCKET": BUCKET, "S3_ENDPOINT_URL": url, "S3_REGION": "us-east-1",
        "S3_ACCESS_KEY_ID": "a", "S3_SECRET_ACCESS_KEY": "b",
    }  # fmt: skip
