"""Find every URL of the site, and every form on its pages, without a fixed list."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

from django.test import Client
from django.urls import NoReverseMatch, get_resolver, reverse

from accounts.models import User
from diagnosis.models import Reading
from tests.site_urls import address_of, admin_address, named_patterns

# These end the session in use, or lead out of the site.
ENDING = {"account_logout", "admin:logout"}
TEXTUAL = {
    "text", "search", "email", "url", "tel", "number", "date", "password", "hidden", "textarea",
    "select", "radio", "checkbox", "datetime-local", "time",
}  # fmt: skip
# Not editable by users. Django's admin returns 500 if staff forge the second.
NO_CONTENT = ("csrfmiddlewaretoken", "_selected_action")

LONGEST_QUERY = 4094  # gunicorn refuses a longer line before Django sees it


@dataclass
class Form:
    """A form as a browser sees it: its target, and the fields with their current values."""

    page: str
    action: str
    method: str
    values: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)

    @property
    def written(self) -> list[str]:
        """Names of the fields that accept any text."""
        return [name for name in self.values if name not in NO_CONTENT]

    def key(self) -> tuple[str, str, tuple[str, ...]]:
        return self.action.split("?")[0], self.method, tuple(sorted(self.values))


class _Forms(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.page, self.forms = page, []
        self._area = self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            action = urljoin(self.page, given.get("action") or self.page)
            self.forms.append(Form(self.page, action, given.get("method", "get").lower()))
        elif self.forms and (name := given.get("name")):
            self._take(tag, name, given)
        if tag == "option" and self._select and self.forms:
            values = self.forms[-1].values
            if "selected" in given or not values[self._select]:
                values[self._select] = given.get("value", "")

    def _take(self, tag: str, name: str, given: dict[str, str]) -> None:
        kind = tag if tag in {"textarea", "select"} else given.get("type", "text")
        if kind not in TEXTUAL or tag == "meta":
            return
        form = self.forms[-1]
        if kind in {"radio", "checkbox"} and "checked" not in given and name in form.values:
            return
        form.values[name] = given.get("value", "")
        form.kinds[name] = kind
        self._area = name if tag == "textarea" else ""
        self._select = name if tag == "select" else ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._select = ""
        if tag == "textarea":
            self._area = ""

    def handle_data(self, data: str) -> None:
        if self._area and self.forms:
            self.forms[-1].values[self._area] += data


def addresses(reading: Reading, person: User) -> dict[str, str]:
    """Return name and URL of every page, except those that end the session."""
    found = {}
    for name, pattern in named_patterns():
        if name in ENDING or name.endswith("None"):
            continue
        if name.startswith("admin:"):
            address = admin_address(name.removeprefix("admin:"), pattern, reading, person)
        else:
            address = own_address(name, reading)
        if address is not None:
            found[name] = address
    assert len(found) > 60, "the crawl over the URLs failed"
    return found


def own_address(name: str, reading: Reading) -> str:
    try:
        return address_of(name, reading)
    except NoReverseMatch:
        _, _, _, converters = get_resolver().reverse_dict[name]
        usual = {"IntConverter": 1, "UUIDConverter": reading.pk}
        kinds = {key: type(converter).__name__ for key, converter in converters.items()}
        return reverse(name, kwargs={key: usual.get(kind, "x") for key, kind in kinds.items()})


def page_of(browser: Client, address: str) -> str | None:
    """Return the HTML at `address`, or None if this browser gets no page."""
    response = browser.get(address)
    if response.status_code != 200 or response.streaming:
        return None
    if not response.headers["Content-Type"].startswith("text/html"):
        return None
    return response.content.decode()


def forms_of(browser: Client, where: list[str]) -> list[Form]:
    """Return each distinct form on the pages at the URLs `where`."""
    found: dict[tuple, Form] = {}
    for address in where:
        page = page_of(browser, address)
        if page is None:
            continue
        reader = _Forms(address)
        reader.feed(page)
        for form in reader.forms:
            found.setdefault(form.key(), form)
    return list(found.values())


def send(browser: Client, form: Form, values: dict[str, object]):
    """Submit a form like a browser; long queries are cut to the server's limit."""
    if form.method == "post":
        return browser.post(form.action, values)
    short = {name: str(value)[: LONGEST_QUERY // 4] for name, value in values.items()}
    return browser.get(form.action.split("?")[0], short)
