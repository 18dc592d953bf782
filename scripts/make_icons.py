"""Draw the web app's icons in static/img/icons from app.svg; needs Chromium and Playwright.

A maskable icon fills its square, because the system cuts it to its own shape: the drawing stays in
the middle 80 %.
"""

import base64
import io
import os
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

ICONS = Path(__file__).resolve().parent.parent / "static" / "img" / "icons"
COLOUR = "#0a5a6c"
# name: pixels, share of the square that the logo takes, background
DRAWN = {
    "app-192.png": (192, 1.0, "transparent"),
    "app-512.png": (512, 1.0, "transparent"),
    "apple-180.png": (180, 1.0, COLOUR),
    "maskable-192.png": (192, 0.8, COLOUR),
    "maskable-512.png": (512, 0.8, COLOUR),
}


def main() -> None:
    logo = base64.b64encode((ICONS / "app.svg").read_bytes()).decode()
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, (side, share, background) in DRAWN.items():
            page = browser.new_page(viewport={"width": side, "height": side})
            page.set_content(
                f'<body style="margin:0;display:grid;place-items:center;height:100vh;'
                f'background:{background}"><img width="{round(side * share)}" '
                f'src="data:image/svg+xml;base64,{logo}">'
            )
            page.wait_for_function("document.images[0].complete")
            drawn = Image.open(io.BytesIO(page.screenshot(omit_background=True)))
            drawn.quantize(64).save(ICONS / name, optimize=True)
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
