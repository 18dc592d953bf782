"""The pages of docs/tour.md, and how each looks when its screenshot is taken.

A page whose address does not exist, or that lacks what the screenshot is to show, is reported and
fails the run; nothing is left out in silence.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Variant:
    """How a page is shown: each language, theme and width appears twice."""

    language: str
    theme: str
    width: int

    @property
    def name(self) -> str:
        return f"{self.language}-{self.theme}-{self.width}"


VARIANTS = (
    Variant("en", "light", 1440),
    Variant("zh-hant", "dark", 1440),
    Variant("zh-hant", "light", 360),
    Variant("en", "dark", 360),
)
HEIGHTS = {1440: 900, 360: 740}


def fill_form(page: Any, folder: Path) -> None:
    page.locator("input[name=film]").set_input_files(folder / "tour.jpg")
    page.locator("input[name=patient_name]").fill("周芷瑄")
    page.locator("input[name=patient_number]").fill("P5021")
    page.locator("input[name=patient_age_years]").fill("3")
    page.locator("main img").first.wait_for()


def keep_offline(page: Any, folder: Path) -> None:
    fill_form(page, folder)
    page.context.set_offline(True)
    page.locator("[data-keep-button]").click()
    page.locator("[data-line].is-offline").wait_for()
    page.evaluate("window.scrollTo(0, 0)")


def back_online(page: Any) -> None:
    """Delete what waits, so that it is not sent, and return to the connection."""
    page.evaluate("indexedDB.deleteDatabase('xraysite-offline')")
    page.goto("about:blank")
    page.context.set_offline(False)


@dataclass(frozen=True)
class Shot:
    """One page of the tour.

    Attributes:
        name: names the image.
        url: name of the page's URL.
        about: which object it shows, by key of what the site was filled with; "" for none.
        who: whose page it is: "doctor" or "supervisor".
        show: selector of what is scrolled to; "" for the top of the page.
        before: what is done on the page first.
        after: what is done when the image has been taken.
    """

    name: str
    url: str
    about: str = ""
    who: str = "doctor"
    show: str = ""
    before: Callable[[Any, Path], None] | None = None
    after: Callable[[Any], None] | None = None


SHOTS = (
    Shot("home", "home"),
    Shot("new-reading", "readings:new", before=fill_form),
    Shot("worklist", "readings:list"),
    Shot("reading", "readings:detail", about="reading"),
    Shot("opinion", "readings:detail", about="without opinion", show="#own-reading"),
    Shot("batch", "readings:batch", about="batch"),
    Shot("patient", "patients:detail", about="patient"),
    Shot("statistics", "readings:statistics"),
    Shot("report", "readings:report", about="reading"),
    Shot("model-card", "models:detail", about="model"),
    Shot("offline", "readings:new", before=keep_offline, after=back_online),
    Shot("admin", "admin:index", who="supervisor"),
)
