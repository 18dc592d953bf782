"""The supervisors' office and a doctor's history with few readings and with many.

    .venv/bin/python benchmarks/bench_office.py [--sizes 1000 1000000] [--repeats N] [--json F]

For each size, creates a temporary SQLite database, fills it with generated readings (no films;
activation maps of 8×8 cells like the shipped model's), requests each page as a browser would, and
prints the times and their ratio. `--database URL` uses an empty PostgreSQL database instead and
allows one size only.
"""

import random
import resource
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from measuring import milliseconds  # noqa: E402
from sites import compare  # noqa: E402

SEED = 11
DOCTORS = 200
YEARS = 5
SHARE_OF_ONE_DOCTOR = 0.1  # so that one doctor's history has 100,000 of a million readings
FAMILY = "陳林黃張李王吳劉蔡楊許鄭謝洪郭邱曾廖賴徐周葉蘇莊呂江何蕭羅高潘簡朱鍾彭游詹胡施沈"
GIVEN = "怡君雅婷志明淑芬家豪欣宜俊傑美玲冠宇佳穎建宏惠雯承恩品妍宥翔子晴柏睿芯語宇恩詠"
ADMIN = "/admin/diagnosis/reading/"


def make_people() -> tuple[Any, list[Any]]:
    """Return a supervisor and the doctors."""
    from accounts import roles, services

    def account(name: str, role: str) -> Any:
        return services.create_account(
            email=f"{name}@example.org", display_name=name, password="x" * 20, role=role
        )

    doctors = [account(f"doctor-{n}", roles.DOCTOR) for n in range(DOCTORS)]
    return account("supervisor", roles.SUPERVISOR), doctors


def make_readings(count: int, doctors: list[Any]) -> Iterator[Any]:
    """Yield `count` realistic readings over the last years, oldest first."""
    from diagnosis.models import AgeScope, Agreement, Label, Reading
    from mlcore import inference
    from mlcore.models import ModelVersion

    rng = random.Random(SEED)  # noqa: S311
    active = ModelVersion.objects.get(is_active=True)
    versions = [
        ModelVersion.objects.create(name=f"earlier-{n}", bundle_sha256="0" * 64, path="", card={})
        for n in range(2)
    ] + [active]
    maps = [
        inference.encode_activation_map([[rng.random() for _ in range(8)] for _ in range(8)])
        for _ in range(50)
    ]
    now = datetime.now(UTC)
    for n in range(count):
        label = rng.choices(list(Label), [60, 30, 5, 5])[0]
        made = now - timedelta(days=365.25 * YEARS) * (1 - (n + 1) / (count + 1))
        reviewed = rng.random() < 0.05 and label in (Label.NORMAL, Label.PNEUMONIA)
        hidden = rng.random() < 0.005
        mine = rng.random() < SHARE_OF_ONE_DOCTOR
        doctor = doctors[0] if mine else rng.choice(doctors[1:])
        probability = rng.random()
        yield Reading(
            doctor=doctor,
            patient_name=rng.choice(FAMILY) + rng.choice(GIVEN) + rng.choice(GIVEN),
            patient_number=f"P{n:07d}",
            patient_age_years=rng.randint(1, 5),
            exam_date=date.fromordinal(made.date().toordinal() - rng.randint(0, 3)),
            film_sha256=f"{rng.getrandbits(256):064x}",
            film_format="DICOM",
            film_bytes=rng.randint(200_000, 9_000_000),
            film_width=2000,
            film_height=1800,
            label=label,
            probabilities={"NORMAL": 1 - probability, "PNEUMONIA": probability},
            threshold=0.736,
            scope_score=rng.random(),
            scope_threshold=1.0,
            activation_map=rng.choice(maps),
            model_version=versions[min(2, 3 * n // count)],
            bundle_sha256=active.bundle_sha256,
            preprocessing_id="bench",
            inference_ms=10,
            created_at=made,
            hidden_at=made if hidden else None,
            hidden_by=doctor if hidden else None,
            hidden_reason="NOT_NEEDED" if hidden else "",
            agreement=rng.choices(list(Agreement), [92, 8])[0] if reviewed else "",
            age_scope=AgeScope.OUTSIDE if rng.random() < 0.03 else AgeScope.INSIDE,
        )


def fill(count: int, doctors: list[Any]) -> None:
    from itertools import islice

    from diagnosis.models import Reading, Review

    Reading._meta.get_field("created_at").auto_now_add = False
    rows = make_readings(count, doctors)
    while some := list(islice(rows, 5000)):
        Reading.objects.bulk_create(some)
        Review.objects.bulk_create(
            Review(reading=one, doctor=one.doctor, verdict=one.label if one.agreement == "AGREE"
                   else ({"NORMAL", "PNEUMONIA"} - {str(one.label)}).pop())
            for one in some
            if one.agreement
        )  # fmt: skip


def pages(doctor: Any, count: int) -> dict[str, tuple[str, str]]:
    """Return the user and the address of each page, by a description of the page."""
    from diagnosis.models import Reading
    from xraysite.common.paging import BOUND

    last_page = min(count, BOUND) // 25
    one = Reading.objects.order_by("-created_at")[3]
    month = f"created_at__year={one.created_at.year}&created_at__month={one.created_at.month}"
    week = f"exam_date__gte={date.today() - timedelta(days=7)}"
    supervised = {
        "list": ADMIN,
        "list, last page": f"{ADMIN}?p={last_page}",
        "list, oldest first": f"{ADMIN}?o=6",
        "filter: result": f"{ADMIN}?label__exact=PNEUMONIA",
        "filter: doctor": f"{ADMIN}?doctor={doctor.pk}",
        "filter: doctor, typed": f"{ADMIN}?doctor=doctor-1",
        "filter: model": f"{ADMIN}?model={one.model_version_id}",
        "filter: deleted": f"{ADMIN}?hidden=yes",
        "filter: not deleted": f"{ADMIN}?hidden=no",
        "filter: disagreement": f"{ADMIN}?agreement__exact=DISAGREE",
        "filter: outside the ages": f"{ADMIN}?age_scope__exact=OUTSIDE",
        "filter: exam in a week": f"{ADMIN}?{week}",
        "filter: exam this year": f"{ADMIN}?exam_date__gte={date.today().year}-01-01",
        "a month": f"{ADMIN}?{month}",
        "search: family name": f"{ADMIN}?q={one.patient_name[0]}",
        "search: whole name": f"{ADMIN}?q={one.patient_name}",
        "search: number": f"{ADMIN}?q={one.patient_number}",
        "search: P": f"{ADMIN}?q=P",
        "result and doctor": f"{ADMIN}?label__exact=UNSURE&doctor={doctor.pk}",
        "result and model": f"{ADMIN}?label__exact=UNSURE&model={one.model_version_id}",
        "result and exam in a week": f"{ADMIN}?label__exact=UNSURE&{week}",
        "name and result": f"{ADMIN}?q={one.patient_name}&label__exact=PNEUMONIA",
        "deleted and disagreement": f"{ADMIN}?hidden=yes&agreement__exact=DISAGREE",
        "a reading": f"{ADMIN}{one.pk}/change/",
        "dashboard": "/admin/",
    }
    own = {
        "history of one in ten": "/readings/",
        "history, searched": f"/readings/?q={GIVEN[0]}",
        "history, nothing found": "/readings/?q=nobody",
        "history, result": "/readings/?result=UNSURE",
        "overview of that doctor": "/",
    }
    return {name: ("supervisor", where) for name, where in supervised.items()} | {
        name: ("doctor", where) for name, where in own.items()
    }


def measure(count: int, repeats: int) -> dict[str, Any]:
    from tests.conftest import signed_in

    supervisor, doctors = make_people()
    started = time.perf_counter()
    fill(count, doctors)
    found: dict[str, Any] = {"filled_s": time.perf_counter() - started, "ms": {}}
    browsers = {"supervisor": signed_in(supervisor), "doctor": signed_in(doctors[0])}
    for name, (who, where) in pages(doctors[0], count).items():

        def ask(who: str = who, where: str = where) -> None:
            response = browsers[who].get(where)
            if response.status_code != 200:
                raise SystemExit(f"{where} answers {response.status_code}")

        times = milliseconds(ask, repeats, warm_up=1)
        found["ms"][name] = times
        print(f"{count:>9,}  {name:<28}{times['median']:>9.1f} ms", file=sys.stderr, flush=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    export = browsers["supervisor"].get(f"{ADMIN}export/?hidden=no")
    size = sum(len(part) for part in export.streaming_content)
    found["export"] = {
        "s": time.perf_counter() - started,
        "mb": size / 1e6,
        "memory_mb": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3,
    }
    found["lines"] = [
        "as CSV in {s:.1f} s, {mb:.0f} MB, {memory_mb:.0f} MB more memory".format(**found["export"])
    ]
    return found


if __name__ == "__main__":
    compare(__file__, __doc__, sizes=[1000, 1_000_000], repeats=7, what="readings", measure=measure)
