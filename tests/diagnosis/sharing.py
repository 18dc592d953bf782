"""Steps of sharing a case, for tests."""

import base64
import html
import re
import uuid

from diagnosis.models import Reading, SharedCase

CORNER = "70 0 30 8"


def filled(**changes: object) -> dict[str, object]:
    """Return the data of the sharing form, with `changes`."""
    return {
        "category": "7",
        "title": "A consolidation?",
        "body": "What do **you** see?",
        "boxes": CORNER,
        "submission": str(uuid.uuid4()),
    } | changes


def address(reading: Reading, page: str = "share/") -> str:
    return f"/readings/{reading.pk}/{page}"


def send(browser, reading: Reading, step: str, **changes: object):
    return browser.post(address(reading), filled(step=step, **changes))


def shared(browser, reading: Reading, **changes: object) -> SharedCase:
    response = send(browser, reading, "post", confirmed="on", **changes)
    assert response.status_code == 302, response.content.decode()
    return SharedCase.objects.get(url=response.headers["Location"])


def shown_picture(page: str) -> bytes:
    match = re.search(r'src="data:image/png;base64,([^"]+)"', page)
    assert match, "no image in the preview"
    return base64.b64decode(match[1])


def hidden_fields(page: str) -> dict[str, str]:
    """Return the hidden fields of the preview's form."""
    fields = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page)
    return {name: html.unescape(value) for name, value in fields if name != "csrfmiddlewaretoken"}
