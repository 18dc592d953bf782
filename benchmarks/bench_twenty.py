"""The reading room, timed: twenty films from a folder to signed opinions, in a real browser.

    .venv/bin/python benchmarks/bench_twenty.py [--films N] [--json F]

Starts the server on a temporary site and drives headless Chromium as a doctor would who knows the
keys: choose the folder, open the first unread reading, choose what is seen, sign, go to the next.
Counts clicks and keys and prints the seconds. The time that a doctor looks at a film is not in it.
The films are synthetic DICOM files whose headers state the patient.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from measuring import machine, say_machine, table  # noqa: E402
from serving import server, signed_in  # noqa: E402
from sites import start_django  # noqa: E402

BROWSER = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
DONE = "tr.batch-row-done"
SIGN, NORMAL, NEXT_UNREAD = "Control+Enter", "1", "n"


def write_films(folder: Path, count: int) -> None:
    """Write DICOM files of as many patients, each with name, number, age and date."""
    from tests.films import encode_dicom, synthetic_film

    for n in range(count):
        kind = "PNEUMONIA" if n % 2 else "NORMAL"
        pixels = synthetic_film(kind, seed=n, size=512)
        data = encode_dicom(
            pixels, patient_name=f"Child^{n}", patient_id=f"N{n:03}", age="003Y",
            study_date="20260105",
        )  # fmt: skip
        Path(folder, f"film-{n:03}.dcm").write_bytes(data)


class Hand:
    """A doctor's hand on mouse and keyboard: counts what it does.

    Args:
        page: of Playwright.
    """

    def __init__(self, page: Any):
        self.page, self.clicks, self.keys = page, 0, 0

    def click(self, selector: str) -> None:
        self.page.locator(selector).first.click()
        self.clicks += 1

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)
        self.keys += 1


def send_folder(hand: Hand, site: str, films: Path, count: int) -> None:
    """Choose the folder on the page of a new batch and wait until every film has been read."""
    hand.page.goto(f"{site}/readings/batches/new/")
    with hand.page.expect_file_chooser() as chooser:
        hand.click("[data-choose-folder]")
    chooser.value.set_files(str(films))
    from playwright.sync_api import expect

    expect(hand.page.locator(DONE)).to_have_count(count, timeout=600_000)


def sign_all(hand: Hand, site: str, count: int) -> None:
    """Open each unread reading, choose an opinion and sign it."""
    hand.page.goto(f"{site}/readings/")
    hand.press(NEXT_UNREAD)
    for n in range(count):
        hand.page.wait_for_selector("form[data-opinion]", state="attached")
        hand.press(NORMAL)
        with hand.page.expect_navigation():
            hand.press(SIGN)
        if n + 1 < count:
            with hand.page.expect_navigation():
                hand.press(NEXT_UNREAD)


def measure(folder: str, films: int) -> dict[str, Any]:
    """Return clicks, keys and seconds of each part, and what the site has stored."""
    from playwright.sync_api import sync_playwright

    from diagnosis.models import Opinion, Reading

    here = Path(folder, "from-the-machine")
    here.mkdir()
    write_films(here, films)
    cookies = dict(each.split("=", 1) for each in signed_in("d@example.org")["Cookie"].split("; "))
    with server(folder) as (port, _pid), sync_playwright() as playwright:
        site = f"http://127.0.0.1:{port}"
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=BROWSER
        )
        context = chromium.new_context(locale="en-US", viewport={"width": 1440, "height": 900})
        context.add_cookies(
            [{"name": name, "value": value, "url": site} for name, value in cookies.items()]
        )
        hand = Hand(context.new_page())
        found: dict[str, Any] = {"films": films}
        for name, part in (("sending and reading", send_folder), ("opinions", sign_all)):
            started, clicks, keys = time.perf_counter(), hand.clicks, hand.keys
            if part is send_folder:
                send_folder(hand, site, here, films)
            else:
                sign_all(hand, site, films)
            found[name] = {
                "seconds": time.perf_counter() - started,
                "clicks": hand.clicks - clicks,
                "keys": hand.keys - keys,
            }
        chromium.close()
    found["readings"] = Reading.objects.counted().count()
    found["signed"] = Opinion.objects.filter(stage="SIGNED").count()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--films", type=int, default=20)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    here = machine()
    say_machine(here)
    with tempfile.TemporaryDirectory(prefix="twenty-") as folder:
        start_django(folder, None)
        found = {"machine": here, **measure(folder, options.films)}
    rows = [
        [name, f"{part['clicks']}", f"{part['keys']}", f"{part['seconds']:.1f}"]
        for name, part in found.items()
        if isinstance(part, dict) and "clicks" in part
    ]
    print(table(["part", "clicks", "keys", "seconds"], rows))
    print(f"{found['readings']} readings, {found['signed']} signed opinions.")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))
    sys.exit(0 if found["signed"] == options.films else 1)


if __name__ == "__main__":
    main()
