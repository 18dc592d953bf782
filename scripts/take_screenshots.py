"""Take the screenshots of docs/images on a temporary site, from synthetic X-rays.

usage: take_screenshots.py [readme|tour]   (default: both; needs Chromium and Playwright)

`readme` are those of README and the guides, `tour` those of docs/tour.md (tour_pages.py). With
status 1, images are missing or too large, and the last lines say which.

The shipped model would refuse synthetic X-rays as out of scope, so the site uses a copy of it whose
scope gate accepts every image. It has learned nothing about synthetic X-rays, so the results of the
earlier readings are made up, too.
"""

import io
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts.screenshot_site import Filled, prepare_site  # noqa: E402
from scripts.tour_pages import HEIGHTS, SHOTS, VARIANTS, Shot, Variant  # noqa: E402

IMAGES = ROOT / "docs" / "images"
PORT = 8765
SITE = f"http://127.0.0.1:{PORT}"
LANGUAGES = {"": "en", ".zh-Hant": "zh-hant"}
MAX_BYTES = 120_000
MAX_BYTES_IN_ALL = 2_500_000


def save(page: Any, file: Path) -> None:
    """Save what the window shows as WebP of at most `MAX_BYTES`."""
    from tests.e2e.conftest import settle

    settle(page)
    page.wait_for_timeout(500)
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    for quality in (80, 70, 55, 40):
        shot.save(file, quality=quality, method=6)
        if file.stat().st_size <= MAX_BYTES:
            return


def take_readme(browser: Any, folder: Path, filled: Filled) -> list[str]:
    """Take one image of each page and language for README and the guides."""
    from tests.e2e.conftest import new_context, sign_in
    from tests.films import encode, synthetic_film

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
        save(page, IMAGES / f"new-reading{suffix}.webp")
        page.locator("main form button[type=submit]").click()
        page.wait_for_url("**/readings/*-*-*-*-*/")
        save(page, IMAGES / f"reading{suffix}.webp")
        page.goto(f"{SITE}/readings/")
        save(page, IMAGES / f"history{suffix}.webp")
        context.close()
        context = new_context(browser, language=language, width=1280)
        context.set_default_timeout(60_000)
        page = context.new_page()
        email, secret = filled.supervisors.pop()
        sign_in(page, SITE, email, secret=secret)
        page.goto(f"{SITE}/admin/")
        save(page, IMAGES / f"admin{suffix}.webp")
        context.close()
    return []


def take_tour(browser: Any, folder: Path, filled: Filled) -> list[str]:
    """Take every page of the tour in every variant; return what went wrong."""
    from tests.films import encode, synthetic_film

    film = synthetic_film("PNEUMONIA", seed=9, size=1024)
    (folder / "tour.jpg").write_bytes(encode(film, "jpeg"))
    tour = IMAGES / "tour"
    tour.mkdir(parents=True, exist_ok=True)
    for old in tour.glob("*.webp"):
        old.unlink()
    wrong = []
    for variant in VARIANTS:
        for who in ("doctor", "supervisor"):
            shots = [shot for shot in SHOTS if shot.who == who]
            wrong += take_variant(browser, folder, filled, variant, shots)
    sizes = {file.name: file.stat().st_size for file in tour.glob("*.webp")}
    wrong += [f"{name} has {size} bytes" for name, size in sizes.items() if size > MAX_BYTES]
    if sum(sizes.values()) > MAX_BYTES_IN_ALL:
        wrong.append(f"all images of the tour have {sum(sizes.values())} bytes")
    print(f"{len(sizes)} images of the tour, {sum(sizes.values())} bytes")
    return wrong


def take_variant(
    browser: Any, folder: Path, filled: Filled, variant: Variant, shots: list[Shot]
) -> list[str]:
    """Take some pages of one person in one variant; return what went wrong."""
    from tests.e2e.conftest import new_context, sign_in

    context = new_context(browser, language=variant.language, width=variant.width)
    context.set_default_timeout(30_000)
    page = context.new_page()
    page.emulate_media(color_scheme="dark" if variant.theme == "dark" else "light")
    page.set_viewport_size({"width": variant.width, "height": HEIGHTS[variant.width]})
    if shots[0].who == "doctor":
        sign_in(page, SITE, "doctor@example.org")
    else:
        email, secret = filled.supervisors.pop()
        sign_in(page, SITE, email, secret=secret)
    wrong = []
    for shot in shots:
        fault = take_shot(page, folder, filled, variant, shot)
        if fault:
            wrong.append(f"NOT TAKEN {shot.name} ({variant.name}): {fault}")
    context.close()
    return wrong


def take_shot(page: Any, folder: Path, filled: Filled, variant: Variant, shot: Shot) -> str:
    """Take one page; return why that was impossible, or ""."""
    from django.urls import NoReverseMatch, reverse
    from playwright.sync_api import Error

    if shot.about and shot.about not in filled.keys:
        return f"the site has no {shot.about}"
    try:
        address = reverse(shot.url, args=[filled.keys[shot.about]] if shot.about else [])
    except NoReverseMatch:
        return f"there is no page {shot.url}"
    try:
        response = page.goto(f"{SITE}{address}")
        if response.status != 200:
            return f"{address} answers {response.status}"
        if shot.before is not None:
            shot.before(page, folder)
        if shot.show:
            page.locator(shot.show).first.scroll_into_view_if_needed()
            page.locator(shot.show).first.evaluate("part => part.scrollIntoView()")
        save(page, IMAGES / "tour" / f"{shot.name}-{variant.name}.webp")
        if shot.after is not None:
            shot.after(page)
    except Error as error:
        return str(error).splitlines()[0]
    return ""


def wait_for_site() -> None:
    for _ in range(120):
        try:
            urllib.request.urlopen(f"{SITE}/healthz")  # noqa: S310
            return
        except OSError:
            time.sleep(1)


def main() -> int:
    from playwright.sync_api import sync_playwright

    chosen = sys.argv[1:] or ["readme", "tour"]
    if not {*chosen} <= {"readme", "tour"}:
        print(__doc__)
        return 2
    os.chdir(ROOT)
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        filled = prepare_site(Path(folder))
        from tests.e2e.conftest import CHROMIUM, QUIET

        server = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--config", "python:xraysite.gunicorn",
             "--bind", f"127.0.0.1:{PORT}", "--log-level", "warning"],
        )  # fmt: skip
        try:
            wait_for_site()
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
                if "tour" in chosen:
                    wrong += take_tour(browser, Path(folder), filled)
                if "readme" in chosen:
                    wrong += take_readme(browser, Path(folder), filled)
                browser.close()
        finally:
            server.terminate()
            server.wait()
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
