"""Patients' names stay out of URLs, titles and forms that are sent by GET."""

import re
from html.parser import HTMLParser
from urllib.parse import parse_qs, unquote_plus, urlsplit

import pytest

from diagnosis.models import Reading
from diagnosis.worklist import lists
from tests.board import open_topic
from tests.conftest import signed_in
from tests.factories import ReadingFactory
from xraysite.common import private_search

pytestmark = pytest.mark.django_db

NAME, NUMBER = "陳小明", "A123456789"
PATIENT = re.compile(f"{NAME}|{NUMBER}|小明|A1234", re.IGNORECASE)
HISTORY, ADMIN, ACCESS_LOG = "/readings/", "/admin/diagnosis/reading/", "/admin/who-saw/"
AUDIT, ACCOUNTS, BOARD = "/admin/accounts/auditentry/", "/admin/accounts/user/", "/forum/"


def search(browser, address: str, text: str, **filters: str):
    """Send a page's search form, and return the page that it leads to."""
    sent = {"q": text, private_search.SENT: "1", **filters}
    response = browser.post(address, sent)
    assert response.status_code == 303
    return browser.get(response["Location"]), response["Location"]


@pytest.fixture
def reading(active_model, doctor) -> Reading:
    for n in range(21):
        ReadingFactory(doctor=doctor, patient_name=f"{NAME} {n}", patient_number=f"{NUMBER}{n}")
    ReadingFactory(doctor=doctor, patient_name="Lin Mei", patient_number="B2")
    return ReadingFactory(doctor=doctor, patient_name=NAME, patient_number=NUMBER)


@pytest.mark.parametrize("address", [HISTORY, ADMIN, ACCESS_LOG, AUDIT, ACCOUNTS, BOARD])
def test_a_search_leads_to_an_address_without_the_text(address, reading, as_doctor, as_supervisor):
    browser = as_supervisor if "/admin/" in address else as_doctor
    page, location = search(browser, address, NAME)
    assert page.status_code == 200
    assert re.fullmatch(rf"{address}\?search=[\w-]{{8,}}", location)
    assert f'value="{NAME}"' in page.content.decode(), "the text stays in the form"
    _again, same = search(browser, address, NAME)
    assert same == location, "reloading and searching again need no further address"
    bookmark = browser.get(address, {"q": NAME})
    assert bookmark.status_code == 303
    assert bookmark["Location"] == location, "an old bookmark"


def test_results_paging_and_filters_of_a_search(reading, as_doctor, monkeypatch):
    monkeypatch.setattr(lists, "PAGE_SIZE", 20)
    page, location = search(as_doctor, HISTORY, "小明", result="NORMAL")
    assert page.context["total"] == 22
    assert parse_qs(urlsplit(location).query)["result"] == ["NORMAL"]
    older = re.search(r'rel="next"\s+href="([^"]+)"', page.content.decode())[1]
    second = as_doctor.get(older.replace("&amp;", "&"))
    assert (second.context["first_number"], second.context["last_number"]) == (21, 22)
    assert second.context["total"] == 22
    nothing, _location = search(as_doctor, HISTORY, "小明", result="PNEUMONIA")
    assert nothing.context["total"] == 0
    everything, location = search(as_doctor, HISTORY, "  ")
    assert (everything.context["total"], location) == (23, HISTORY)


def test_a_search_belongs_to_its_session(reading, doctor, as_doctor):
    _page, location = search(as_doctor, HISTORY, NAME)
    elsewhere = signed_in(doctor)
    response = elsewhere.get(location, follow=True)
    assert response.redirect_chain[-1][0] == HISTORY
    assert "This search is no longer available." in response.content.decode()
    as_doctor.logout()
    as_doctor.force_login(doctor)
    assert as_doctor.get(location).status_code == 302


def test_a_forgotten_search_exports_nothing(reading, as_supervisor):
    response = as_supervisor.get(f"{ADMIN}export/?search=unknown")
    assert (response.status_code, response["Location"]) == (302, ADMIN)
    response = as_supervisor.get(f"{ACCESS_LOG}?search=unknown&format=csv")
    assert (response.status_code, response["Location"]) == (302, ACCESS_LOG)


def test_a_search_in_the_admin_and_its_export(reading, as_supervisor):
    page, location = search(as_supervisor, ADMIN, "Lin Mei")
    assert page.context["cl"].result_count == 1
    export = re.search(r'href="([^"]+/export/[^"]*)"', page.content.decode())[1]
    content = b"".join(as_supervisor.get(export.replace("&amp;", "&"))).decode()
    assert content.count("Lin Mei") == 1
    assert NAME not in content
    filtered = as_supervisor.get(f"{location}&label__exact=PNEUMONIA")
    assert filtered.context["cl"].result_count == 0


def test_an_action_on_a_search_reaches_only_what_was_found(reading, as_supervisor):
    _page, location = search(as_supervisor, ADMIN, "Lin Mei")
    sent = {"action": "purge_selected", "select_across": "1", "_selected_action": str(reading.pk)}
    response = as_supervisor.post(location, sent)
    assert PATIENT.search(response.content.decode()) is None


def test_the_session_keeps_a_limited_number_of_searches(as_doctor):
    for n in range(private_search.MAX_KEPT + 5):
        search(as_doctor, HISTORY, f"name {n}")
    assert len(as_doctor.session[private_search.SESSION_KEY]) == private_search.MAX_KEPT


class Page(HTMLParser):
    """The URLs, the titles and the fields of GET forms on a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.titles: list[str] = []
        self.sent_by_get: list[str] = []
        self.in_title = self.in_get_form = False
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.urls += [
            values[name] or ""
            for name in ("href", "src", "action", "hx-get", "hx-post", "data-delete-url")
            if name in values
        ]
        if tag == "form":
            self.in_get_form = (values.get("method") or "get").lower() == "get"
        if tag in ("input", "button", "option") and self.in_get_form:
            self.sent_by_get.append(values.get("value") or "")
        if tag == "input" and values.get("name") == "next":
            self.urls.append(values.get("value") or "")
        self.in_title = tag == "title"

    def handle_endtag(self, tag):
        self.in_title = False
        if tag == "form":
            self.in_get_form = False

    def handle_data(self, data):
        if self.in_title:
            self.titles.append(data)


def crawl(browser, start: list[str]) -> set[str]:
    """Follow the site's own links from some addresses, and check each page."""
    waiting, seen, kinds = list(start), set(), set()
    while waiting:
        address = waiting.pop()
        path, _question, query = address.partition("?")
        names = ",".join(sorted(parse_qs(query)))
        kind = re.sub(r"[0-9a-f-]{36}|\d+", "*", path) + names
        # One page of each kind, with at most one filter beside the search.
        is_known = kind in kinds or names.count(",") > 1
        if address in seen or (is_known and address not in start):
            continue
        seen.add(address)
        kinds.add(kind)
        response = browser.get(address)
        assert PATIENT.search(unquote_plus(response.get("Location", ""))) is None, address
        if response.status_code != 200 or "html" not in response["Content-Type"]:
            continue
        page = Page(response.content.decode())
        for text in [*page.urls, *page.titles, *page.sent_by_get]:
            assert PATIENT.search(unquote_plus(text)) is None, f"{text!r} on {address}"
        for url in page.urls:
            target = url.split("#")[0]
            if target.startswith("?"):
                target = address.split("?")[0] + target
            if target.startswith("/") and not re.search("logout|static|/film/|/heatmap/", target):
                waiting.append(target)
    return seen


def test_no_address_title_or_get_form_of_a_doctor_contains_a_patient(reading, as_doctor, doctor):
    open_topic(doctor)
    start = [search(as_doctor, address, NAME)[1] for address in (HISTORY, BOARD)]
    start += [f"{HISTORY}{reading.pk}/{page}" for page in ("", "edit/", "delete/", "report/")]
    start += [search(as_doctor, HISTORY, NAME, result="NORMAL")[1], "/"]
    assert len(crawl(as_doctor, start)) > 20


def test_no_address_title_or_get_form_of_a_supervisor_contains_a_patient(reading, as_supervisor):
    pages = (ADMIN, ACCESS_LOG, AUDIT, ACCOUNTS)
    start = [search(as_supervisor, address, NAME)[1] for address in pages]
    start += [f"{ADMIN}{reading.pk}/change/", f"{HISTORY}{reading.pk}/", "/admin/", "/"]
    assert len(crawl(as_supervisor, start)) > 25
