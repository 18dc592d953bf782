"""The list of readings is equally fast at any table size, by SQLite's query plans."""

import re
from itertools import combinations, product
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from diagnosis import statistics
from diagnosis.models import Label, Reading
from diagnosis.worklist import lists, orders
from tests.conftest import settled
from tests.factories import ReadingFactory
from xraysite.common.paging import BOUND

pytestmark = pytest.mark.django_db
BY_KEY = "sqlite_autoindex_diagnosis_reading_1"
needs_sqlite = pytest.mark.skipif(
    connection.vendor != "sqlite", reason="NOT TESTED: the query plans of another database"
)

LIST = "/admin/diagnosis/reading/"
# The index that each filter has to use, without sorting.
INDEX_OF = {
    "label__exact": "reading_label",
    "agreement__exact": "reading_agreement",
    "age_scope__exact=OUTSIDE": "reading_age_scope",
    "age_scope__exact=INSIDE": "reading_newest",
    "doctor": "reading_doctor",
    "model": "reading_model",
    "exam_date__gte": "reading_exam_date",
    "hidden=yes": "reading_hidden",
    "hidden=no": "reading_(shown|newest)",
    "created_at__year": "reading_newest",
    "o": "reading_newest",
}


@pytest.fixture
def readings(active_model, doctor) -> list[Reading]:
    return ReadingFactory.create_batch(30, doctor=doctor, label=Label.PNEUMONIA)


def plans(run) -> list[list[str]]:
    """Return the plan of each query on readings that `run` makes."""
    with CaptureQueriesContext(
        connection,
    ) as captured:
        run()
    found = []
    for query in captured.captured_queries:
        if 'FROM "diagnosis_reading"' in query["sql"]:
            with connection.cursor() as cursor:
                cursor.execute("EXPLAIN QUERY PLAN " + query["sql"].replace("%", "%%"))
                found.append([row[3] for row in cursor.fetchall()])
    return found


def links_of(browser, query: str = "") -> set[str]:
    """Return the query strings of a list's filters, sort orders and days."""
    response = browser.get(LIST + query)
    assert response.status_code == 200
    shown = response.context["cl"]
    links = {
        choice["query_string"] for spec in shown.filter_specs for choice in spec.choices(shown)
    }
    links |= {step["link"] for step in (shown.drill_down() or {"choices": []})["choices"]}
    head = re.search(r"<thead>.*?</thead>", response.content.decode(), re.DOTALL)
    assert head is not None
    return links | {f"?o={number}" for number in re.findall(r'href="\?o=(-?\d+)"', head[0])}


def expected_index(query: str) -> str:
    for name, index in INDEX_OF.items():
        if re.search(rf"[?&]{name}\b", query):
            return index
    return "reading_newest"


def assert_by_index(plan: list[str], index: str, *, why: object, sorts: bool = False) -> None:
    assert sorts or not any("TEMP B-TREE" in step for step in plan), f"{why} sorts: {plan}"
    first = next(step for step in plan if "diagnosis_reading" in step)
    assert re.search(rf"USING (COVERING )?INDEX {index}\b", first), f"{why}: {plan}"


@needs_sqlite
def test_every_filter_sort_and_day_uses_an_index(readings, as_supervisor, doctor):
    one = readings[0].created_at
    links = links_of(as_supervisor)
    links |= links_of(as_supervisor, f"?created_at__year={one.year}")
    links |= links_of(as_supervisor, f"?created_at__year={one.year}&created_at__month={one.month}")
    links |= {f"?doctor={doctor.pk}", "?hidden=no", "?exam_date__gte=2026-01-01"}
    for name in INDEX_OF:
        assert any(re.search(rf"[?&]{name}\b", link) for link in links), f"no link with {name}"
    for link in sorted(links):
        index = expected_index(link)
        count, *others = plans(lambda link=link: as_supervisor.get(LIST + link))
        assert "CO-ROUTINE" in count[0], "counted up to the bound only"
        # Counting needs no order, so any index that covers the filter does.
        assert any("USING COVERING INDEX" in step for step in count), count
        keys, ends = keys_and_ends(others)
        if keys is not None:
            # Deleted readings are few, and sorted within their index.
            assert_by_index(keys, index, why=link, sorts=index == "reading_hidden")
            assert "COVERING INDEX" in keys[0], f"{link} reads rows to find the page: {keys}"
        for plan in ends:
            assert_by_index(plan, "reading_newest", why="the ends of the calendar")


def keys_and_ends(plans: list[list[str]]) -> tuple[list[str] | None, list[list[str]]]:
    """Return the plans of a page's keys and of the calendar, without that of the page's rows.

    The keys of an empty page are not selected.
    """
    rows = next((n for n, plan in enumerate(plans) if BY_KEY in str(plan)), None)
    return (None, plans) if rows is None else (plans[0], plans[:rows][1:] + plans[rows + 1 :])


VALUES = {
    "label": ("label__exact=PNEUMONIA", "label__exact=UNSURE"),
    "assessment": ("agreement__exact=AGREE", "agreement__exact=DISAGREE"),
    "deleted": ("hidden=yes",),
    "kept": ("hidden=no",),
    "doctor": ("doctor={doctor}",),
    "model": ("model={model}",),
    "exam": ("exam_date__gte=2026-01-01",),
    "outside": ("age_scope__exact=OUTSIDE",),
    "inside": ("age_scope__exact=INSIDE",),
    "read": ("created_at__year={year}", "created_at__year={year}&created_at__month=1"),
}
# The index of each pair. Those of rare choices cover every other filter.
PAIRS = {
    ("label", "kept"): "reading_label", ("label", "doctor"): "reading_own_label",
    ("label", "model"): "reading_label_model", ("label", "exam"): "reading_label_exam_date",
    ("label", "inside"): "reading_label", ("label", "read"): "reading_label",
    ("kept", "doctor"): "reading_(doctor|own_newest)", ("kept", "model"): "reading_model",
    ("kept", "exam"): "reading_exam_date", ("kept", "inside"): r"reading_\w+",
    ("kept", "read"): "reading_(shown|newest)", ("doctor", "model"): "reading_doctor",
    ("doctor", "exam"): "reading_own_exam_date", ("doctor", "inside"): "reading_doctor",
    ("doctor", "read"): "reading_(doctor|own_newest)",
    ("model", "exam"): "reading_model_exam_date", ("model", "inside"): "reading_model",
    ("model", "read"): "reading_model", ("exam", "inside"): "reading_exam_date",
    ("exam", "read"): "reading_(newest|exam_date)", ("inside", "read"): "reading_newest",
}  # fmt: skip
RARE = {
    "deleted": "reading_hidden", "assessment": "reading_agreement", "outside": "reading_age_scope",
}  # fmt: skip
NEVER_BOTH = {("deleted", "kept"), ("outside", "inside")}


def index_of_pair(one: str, other: str) -> str:
    if indexes := [RARE[name] for name in (one, other) if name in RARE]:
        if (one, other) == ("deleted", "read"):
            indexes.append("reading_newest")  # in the order of the list
        return f"({'|'.join(indexes)})"
    return PAIRS[one, other]


@needs_sqlite
@pytest.mark.parametrize("pair", list(combinations(VALUES, 2)), ids="+".join)
def test_two_filters_at_once_read_one_index(pair, readings, as_supervisor, doctor, active_model):
    if pair in NEVER_BOTH:
        pytest.skip("two values of one filter")
    index = index_of_pair(*pair)
    names = {"doctor": doctor.pk, "model": active_model.pk, "year": readings[0].created_at.year}
    for parts in product(*(VALUES[name] for name in pair)):
        query = "?" + "&".join(parts).format(**names)
        shown = as_supervisor.get(LIST + query).context["cl"]
        keys = shown.queryset.values_list("pk", flat=True)[:25]
        for rows in (keys, shown.queryset.order_by()[: BOUND + 1].values("pk")):
            (plan,) = plans(lambda rows=rows: list(rows))
            found = re.search(r"USING COVERING INDEX (\w+)", plan[0])
            assert found, f"{query}: {plan}"
            assert re.fullmatch(index, found[1]), f"{query}: {plan}"


@needs_sqlite
def test_a_search_with_a_filter_looks_at_its_matches_only(readings, as_supervisor, doctor):
    for filtered in ("label__exact=PNEUMONIA", f"doctor={doctor.pk}", "hidden=no", "o=-6"):
        address = settled(as_supervisor, f"{LIST}?q=patient&{filtered}")
        name, number, count, keys, *_ = plans(lambda address=address: as_supervisor.get(address))
        assert "reading_name_key" in name[0]
        assert "reading_number_key" in number[0]
        for plan in (count, keys):
            assert BY_KEY in str(plan), "looks at other rows than the matches"


@needs_sqlite
@pytest.mark.parametrize("words", ["patient 1", "P000", "陳", "nobody", "x" * 500])
def test_the_search_scans_no_table(words, readings, as_supervisor):
    found = settled(as_supervisor, LIST + "?" + urlencode({"q": words}))
    for plan in plans(lambda: as_supervisor.get(found)):
        for step in plan:
            # Only the matches are sorted, a bounded number.
            assert not re.match(r"SCAN (?!subquery|diagnosis_reading USING COVERING)", step), plan
    text = str(plans(lambda: as_supervisor.get(found)))
    assert "reading_name_key" in text
    assert "reading_number_key" in text


@needs_sqlite
def test_the_statistics_use_one_covering_index(readings, supervisor):
    for run in (statistics.last_days, statistics.by_doctor):
        plan, *assessed = plans(run)
        assert "SEARCH diagnosis_reading USING COVERING INDEX reading_shown" in plan[0]
        for step in assessed:
            assert not any("SCAN diagnosis_reading " in line for line in step), step


WORKLIST_FILTERS = (
    {}, {"result": "UNSURE"}, {"state": "unread"}, {"state": "waiting"}, {"own": "differs"},
    {"date_from": "2026-01-01"}, {"period": "week"}, {"age_from": "2", "result": "PNEUMONIA"},
)  # fmt: skip


@needs_sqlite
def test_every_order_and_filter_of_the_worklist_reads_one_index(readings, doctor):
    """SQLite calls no index covering if a generated column is used, but reads it from the index."""
    request = SimpleNamespace(user=doctor)
    middle = readings[15].pk
    for query in WORKLIST_FILTERS:
        (plan,) = plans(lambda query=query: lists.Worklist(request, query).total)
        assert_by_index(plan, "reading_own_counts", why=query)
        for sort in orders.SORTS:
            worklist = lists.Worklist(request, query | {"sort": sort})
            place = worklist.place_of(middle)
            for plan in plans(lambda list=worklist, place=place: list.page(after=place)):
                # What waits is sorted, as are readings of one probability in triage order.
                sorts = sort == "triage" or query.get("state") == "waiting"
                assert_by_index(plan, r"reading_\w+", why=(query, sort), sorts=sorts)


@needs_sqlite
def test_a_search_of_the_worklist_reads_the_rows_of_its_matches_only(readings, doctor):
    request = SimpleNamespace(user=doctor)
    found, count, *pages = plans(
        lambda: (
            (one := lists.Worklist(request, {"q": "patient", "sort": "name"}))
            and (one.total, one.page())
        )
    )
    assert "COVERING INDEX reading_own" in found[0]
    for plan in (count, *pages):
        assert BY_KEY in str(plan), "looks at other rows than the matches"


@pytest.mark.parametrize(
    "lookup", ["patient_name__icontains", "film_sha256", "threshold__gt", "doctor__email"]
)
def test_a_url_accepts_only_the_lookups_of_filters(lookup, readings, as_supervisor):
    assert as_supervisor.get(LIST, {lookup: "1"}).status_code == 400


@pytest.mark.parametrize(
    "query",
    [
        "?doctor=99999999999999999999", "?doctor=%00", "?model=x", "?model=99999999999999999999",
        "?hidden=maybe", "?created_at__year=2026&created_at__day=5", "?created_at__month=5",
        "?o=999", "?p=abc", "?q=%00",
    ],
)  # fmt: skip
def test_nonsensical_filters_are_ignored(query, readings, as_supervisor):
    for page in (LIST, f"{LIST}export/"):
        assert as_supervisor.get(page + query, follow=True).status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "?created_at__year=abc", "?created_at__year=0", "?exam_date__gte=yesterday", "?p=99999",
        "?created_at__year=2026&created_at__month=13",
    ],
)  # fmt: skip
def test_invalid_values_redirect_to_the_list(query, readings, as_supervisor):
    assert as_supervisor.get(LIST + query).headers["Location"] == f"{LIST}?e=1"
    assert as_supervisor.get(f"{LIST}export/{query}").headers["Location"] == LIST


def test_pages_take_the_same_number_of_queries_at_any_size(
    readings, as_supervisor, as_doctor, doctor, other_doctor, django_assert_max_num_queries
):
    pages = {
        (as_supervisor, LIST): 22,
        (as_supervisor, f"{LIST}?q=patient&doctor={doctor.pk}"): 27,
        (as_supervisor, f"{LIST}{readings[0].pk}/change/"): 24,
        (as_supervisor, f"{LIST}export/"): 24,
        (as_supervisor, "/admin/"): 22,
        (as_doctor, "/readings/"): 30,
        (as_doctor, "/"): 24,
    }
    pages = {(browser, settled(browser, url)): most for (browser, url), most in pages.items()}
    counts = {}
    for (browser, address), most in pages.items():
        browser.get(address)
        with django_assert_max_num_queries(most) as few:
            b"".join(browser.get(address))
        counts[address] = len(few)
    ReadingFactory.create_batch(40, doctor=doctor)
    ReadingFactory.create_batch(40, doctor=other_doctor, hidden_at="2026-01-01T00:00Z")
    User.objects.create_user("waiting@example.org")
    for browser, address in pages:
        with django_assert_max_num_queries(counts[address]):
            b"".join(browser.get(address))


def test_counting_stops_at_a_limit(readings, as_supervisor, monkeypatch):
    monkeypatch.setattr("xraysite.common.paging.BOUND", 27)
    page = as_supervisor.get(LIST).content.decode()
    assert "more than 27 readings" in page
    assert as_supervisor.get(f"{LIST}?p=2").status_code == 200
