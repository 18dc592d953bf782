"""The site's metrics, in Prometheus's format.

Counts are kept by each process. With `METRICS_DIR`, prometheus_client keeps them in files that all
processes of a machine share, so that `/metrics` adds them up whichever process answers.
"""

import fcntl
import logging
import os
import re
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings

from xraysite.common import private_files

logger = logging.getLogger(__name__)

DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
# Files are mapped into memory. On a full disk, that would end the process instead of raising.
LEAST_FREE = 16 * 2**20


def _choose_directory() -> None:
    """Let prometheus_client, which reads the variable when it is imported, share the counts."""
    os.environ.pop(DIRECTORY, None)
    if not settings.METRICS_DIR:
        return
    folder = Path(settings.METRICS_DIR)
    try:
        private_files.make_folder(folder)
        disk = os.statvfs(folder)
        if folder.stat().st_uid != os.getuid() or not os.access(folder, os.W_OK):
            logger.error("%s belongs to another user: each process counts alone.", folder)
        elif disk.f_bavail * disk.f_frsize < LEAST_FREE:
            logger.error("%s is nearly full: each process counts alone.", folder)
        else:
            os.environ[DIRECTORY] = str(folder)
    except OSError as error:
        logger.error("%s cannot be used (%s): each process counts alone.", folder, error.strerror)


_choose_directory()

from prometheus_client import (  # noqa: E402 - reads the variable set above
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
    mmap_dict,
    multiprocess,
)

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

REQUESTS = Counter("xraysite_requests", "Requests.", ["page", "method", "status"])
LATENCY = Histogram(
    "xraysite_request_seconds", "Time until a response began.", ["page"], buckets=SECONDS
)
READINGS = Counter("xraysite_readings", "Readings stored; UNSURE is an abstention.", ["label"])
OUT_OF_SCOPE = Counter(
    "xraysite_out_of_scope", "Reasons for which films were out of scope.", ["reason"]
)
REFUSED_FILES = Counter("xraysite_refused_files", "Files refused, by error code.", ["reason"])
MODEL_TIME = Histogram(
    "xraysite_model_seconds",
    "Time of preprocessing and network.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
DICOM_RECEIVED = Counter("xraysite_dicom_received", "What machines sent, by outcome.", ["outcome"])
AUDIT_ROWS = Counter("xraysite_audit_rows", "Rows written to the audit log.", ["event"])


def count(counter: Counter, *labels: str) -> None:
    """Add one. A count that cannot be kept is logged: it must not stop what is counted."""
    try:
        counter.labels(*labels).inc()
    except OSError:
        logger.exception("A metric could not be counted.")


def observe(histogram: Histogram, seconds: float, *labels: str) -> None:
    """Add a duration; see `count`."""
    try:
        (histogram.labels(*labels) if labels else histogram).observe(seconds)
    except OSError:
        logger.exception("A metric could not be counted.")


def exposition(collectors: Iterable[Any] = ()) -> bytes:
    """Return all metrics of this machine as text for Prometheus.

    Args:
        collectors: `collect()` of each yields metrics that are looked up now.
    """
    registry = CollectorRegistry()
    if DIRECTORY in os.environ:
        with _locked(Path(os.environ[DIRECTORY])):
            _merge(Path(os.environ[DIRECTORY]))
            multiprocess.MultiProcessCollector(registry)
            for collector in collectors:
                registry.register(collector)
            return bytes(generate_latest(registry))
    registry.register(_OwnMetrics())
    for collector in collectors:
        registry.register(collector)
    return bytes(generate_latest(registry))


class _OwnMetrics:
    """The counts of this process alone, without those of the library about Python itself."""

    def collect(self) -> Iterator[Any]:
        return (metric for metric in REGISTRY.collect() if metric.name.startswith("xraysite_"))


_FILE = re.compile(r"(counter|histogram)_(\d+)\.db")


def merge_ended() -> int:
    """Add the counts of ended processes to the files of process 0, and remove their files.

    Without it, every renewed worker would leave files for ever. Called when a process starts, and
    whenever the metrics are read.

    Returns:
        The number of files removed.
    """
    if DIRECTORY not in os.environ:
        return 0
    folder = Path(os.environ[DIRECTORY])
    try:
        with _locked(folder):
            return _merge(folder)
    except OSError:
        logger.exception("The counts of ended processes could not be merged.")
        return 0


def _merge(folder: Path) -> int:
    removed = 0
    for path in sorted(folder.glob("*.db")):
        match = _FILE.fullmatch(path.name)
        if match is None or match[2] == "0" or _is_running(int(match[2])):
            continue
        try:
            _add(path, to=folder / f"{match[1]}_0.db")
        except (OSError, ValueError, struct.error) as error:
            # A process was killed while it made the file: there is nothing in it.
            logger.warning("%s is left out of the metrics: %r", path, error)
        path.unlink(missing_ok=True)
        removed += 1
    return removed


def _add(path: Path, *, to: Path) -> None:
    values = [each[:3] for each in mmap_dict.MmapedDict.read_all_values_from_file(str(path))]
    total = mmap_dict.MmapedDict(str(to))
    try:
        for key, value, stamp in values:
            before, _stamp = total.read_value(key)
            total.write_value(key, before + value, stamp)
    finally:
        total.close()


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes from merging or adding up meanwhile."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
