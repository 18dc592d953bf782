"""Take the screenshots of docs/images on a temporary site, from synthetic X-rays.

usage: take_screenshots.py [FOLDER]   (default: docs/images; needs Chromium and Playwright)

The shipped model would refuse synthetic X-rays as out of scope, so the site uses a copy of it whose
scope gate accepts every image. It has learned nothing about synthetic X-rays, so the results of the
earlier readings are made up, too.
"""

import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
PORT = 8765
SITE = f"http://127.0.0.1:{PORT}"
LANGUAGES = {"": "en", ".zh-Hant": "zh-hant"}
PATIENTS = ["陳小明", "林小美", "Emma Chang", "張育安", "李承恩", "Noah Wu", "黃品妍", "吳宥廷"]
PROBABILITIES = [0.981, 0.043, 0.212, 0.667, 0.018, 0.994, 0.108, 0.031]


def prepare_site(folder: Path) -> None:
    """Create a database with accounts and readings, and a model that accepts synthetic films."""
    bundles = folder / "bundles"
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "xraysite.settings.local",
        "DJANGO_ALLOW_ASYNC_UNSAFE": "true",
        "XRAYSITE_VAR": str(folder),
        "LOG_LEVEL": "ERROR",
        "WEB_CONCURRENCY": "1",
    }
    shutil.copytree(ROOT / "mlcore" / "bundles" / "pneumonia-3", bundles / "pneumonia-3")
    card_file = bundles / "pneumonia-3" / "card.json"
    card = json.loads(card_file.read_text())
    card["scope"]["threshold"] = 1e9
    card_file.write_text(json.dumps(card))
    import django
    from django.core.management import call_command

    django.setup()
    from mlcore import gates

    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    # The overrides that ship are for the shipped bundle, of which this one is a changed copy.
    reasons = [f"{name}=a copy for screenshots" for name in gates.NAMES]
    call_command("activate_model", "pneumonia-3", override=reasons, verbosity=0)
    add_readings()


def add_readings() -> None:
    """Read synthetic films of several patients as two doctors, spread over four weeks."""
    from django.utils import timezone

    from accounts.models import User
    from diagnosis.models import Reading
    from diagnosis.services.opinions import review_reading
    from diagnosis.services.readings import PatientDetails, submit_reading
    from diagnosis.validators import validate_film
    from tests.conftest import upload_of
    from tests.factories import DoctorFactory, SupervisorFactory, UserFactory
    from tests.films import encode, synthetic_film

    doctors = [
        DoctorFactory(email="doctor@example.org", display_name="王怡君"),
        DoctorFactory(email="second@example.org", display_name="許志豪"),
    ]
    SupervisorFactory(email="supervisor@example.org", display_name="林淑芬")
    UserFactory(email="waiting@example.org", approval=User.Approval.PENDING)
    now = timezone.now()
    for index, name in enumerate(PATIENTS * 2):
        film = synthetic_film(
            "PNEUMONIA" if index % 3 == 0 else "NORMAL", seed=40 + index, size=512
        )
        when = now - datetime.timedelta(days=index * index % 23 + 1, minutes=17 * index)
        doctor = doctors[index >= len(PATIENTS)]
        age = 9 if name == "吳宥廷" else 1 + index % 5
        reading = submit_reading(
            doctor=doctor,
            upload=validate_film(upload_of(encode(film, "png"))),
            patient=PatientDetails(name, age, when.date(), f"P{4100 + index * 7}"),
            submission=uuid.uuid4(),
        )
        row = Reading.objects.filter(pk=reading.pk)
        row.update(created_at=when)
        if reading.is_out_of_scope:
            continue
        probability = PROBABILITIES[index % len(PATIENTS)]
        label = "UNSURE" if 0.5 < probability < 0.9 else ["NORMAL", "PNEUMONIA"][probability > 0.9]
        row.update(label=label, probabilities={"NORMAL": 1 - probability, "PNEUMONIA": probability})
        if index % 8 in (0, 1, 4, 5):
            verdict = "PNEUMONIA" if index % 8 == 0 else "NORMAL"
            review_reading(doctor=doctor, reading_id=reading.pk, verdict=verdict)


def take(folder: Path, images: Path) -> None:
    """Sign in as a doctor and as a supervisor, and save one image of each page and language."""
    from playwright.sync_api import sync_playwright

    from accounts.models import User
    from tests.e2e.conftest import (
        CHROMIUM,
        QUIET,
        add_authenticator_app,
        new_context,
        settle,
        sign_in,
    )
    from tests.films import encode, synthetic_film

    secret = add_authenticator_app(User.objects.get(email="supervisor@example.org"))

    def save(page, name: str) -> None:
        settle(page)
        page.wait_for_timeout(500)
        shot = folder / "shot.png"
        page.screenshot(path=shot)
        Image.open(shot).convert("RGB").save(images / f"{name}.webp", quality=80, method=6)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        for seed, (suffix, language) in enumerate(LANGUAGES.items(), start=7):
            # Another film for each language: the same one again would ask for a decision.
            film = folder / "synthetic.jpg"
            film.write_bytes(encode(synthetic_film("PNEUMONIA", seed=seed, size=1024), "jpeg"))
            context = new_context(browser, language=language, width=1280)
            context.set_default_timeout(60_000)
            page = context.new_page()
            sign_in(page, SITE, "doctor@example.org")
            page.goto(f"{SITE}/readings/new/")
            page.locator("input[name=film]").set_input_files(film)
            page.locator("input[name=patient_name]").fill("周芷瑄")
            page.locator("input[name=patient_number]").fill("P5021")
            page.locator("input[name=patient_age_years]").fill("3")
            save(page, f"new-reading{suffix}")
            page.locator("main form button[type=submit]").click()
            page.wait_for_url("**/readings/*-*-*-*-*/")
            save(page, f"reading{suffix}")
            page.goto(f"{SITE}/readings/")
            save(page, f"history{suffix}")
            context.close()
            context = new_context(browser, language=language, width=1280)
            context.set_default_timeout(60_000)
            page = context.new_page()
            if suffix:
                time.sleep(30)  # a code is accepted once
            sign_in(page, SITE, "supervisor@example.org", secret=secret)
            page.goto(f"{SITE}/admin/")
            save(page, f"admin{suffix}")
            context.close()
        browser.close()


def main() -> None:
    images = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "docs" / "images").resolve()
    images.mkdir(parents=True, exist_ok=True)
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    with tempfile.TemporaryDirectory() as folder:
        prepare_site(Path(folder))
        server = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--config", "python:xraysite.gunicorn",
             "--bind", f"127.0.0.1:{PORT}", "--log-level", "warning"],
        )  # fmt: skip
        try:
            for _ in range(120):
                try:
                    urllib.request.urlopen(f"{SITE}/healthz")  # noqa: S310
                    break
                except OSError:
                    time.sleep(1)
            take(Path(folder), images)
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
