"""The pages of orders, as doctors and supervisors use them."""

import datetime

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from accounts.models import AuditEntry
from diagnosis.models import Team, TeamMembership
from exchange.orders import csv_files
from exchange.orders.models import Order, OrderState
from tests.conftest import signed_in
from tests.exchange.orders.ordering import TOMORROW, fields, make_order

pytestmark = pytest.mark.django_db


@pytest.fixture
def team(doctor):
    made = Team.objects.create(name="Ward 5")
    TeamMembership.objects.create(team=made, user=doctor)
    return made


def enter(browser, doctor, **changes):
    data = {"recipient": f"doctor-{doctor.pk}"} | fields(**changes)
    return browser.post("/orders/new/", data)


def test_an_order_is_entered_with_its_names_in_three_scripts(as_doctor, doctor):
    response = enter(as_doctor, doctor)
    order = Order.objects.get()
    assert response.headers["Location"] == order.get_absolute_url()
    assert (order.name_ideographic, order.name_latin) == ("陳^威倫", "Chen^Wei-Lun")
    assert order.birth_date == datetime.date(2023, 5, 1)
    assert timezone.localtime(order.scheduled_at).strftime("%H:%M") == "09:30"
    assert len(order.accession_number) == 12
    assert order.study_uid.startswith("2.25.")
    page = as_doctor.get(order.get_absolute_url()).content.decode()
    for text in ("陳威倫", "Chen Wei-Lun", "ㄔㄣˊ ㄨㄟ ㄌㄨㄣˊ", order.accession_number):
        assert text in page
    title = page[page.index("<title>") : page.index("</title>")]
    assert "陳" not in title
    assert "A123" not in title
    assert AuditEntry.objects.filter(what="order-created", object_pk=str(order.pk)).exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name_ideographic": "", "name_latin": "", "name_phonetic": ""}, "at least one script"),
        ({"name_latin": "陳威倫"}, "Use Latin letters"),
        ({"name_latin": "a=b"}, "cannot be sent to X-ray machines"),
        ({"birth_date": "2062-01-01"}, "is in the future"),
        ({"scheduled_date": "2126-01-01"}, "too far away"),
        ({"accession_number": "A*"}, "Use letters, digits, spaces"),
        ({"patient_number": ""}, "This field is required"),
        ({"recipient": ""}, "This field is required"),
    ],
)
def test_mistakes_are_explained_and_nothing_is_stored(changes, message, as_doctor, doctor):
    page = enter(as_doctor, doctor, **changes)
    assert message in page.content.decode()
    assert not Order.objects.exists()


def test_a_number_is_typed_once(as_doctor, doctor):
    enter(as_doctor, doctor, accession_number="X-1")
    page = enter(as_doctor, doctor, accession_number="X-1").content.decode()
    assert "Another order has this accession number" in page
    assert Order.objects.count() == 1


def test_a_wrong_check_digit_has_to_be_confirmed(as_doctor, doctor):
    page = enter(as_doctor, doctor, patient_number="A123456788").content.decode()
    assert "The check digit of the patient number is wrong" in page
    assert not Order.objects.exists()
    enter(as_doctor, doctor, patient_number="A123456788", number_confirmed="on")
    assert Order.objects.get().patient_number == "A123456788"


def test_a_number_known_under_another_name_has_to_be_confirmed(as_doctor, doctor, reading):
    reading_number = reading.patient_number
    page = enter(as_doctor, doctor, patient_number=reading_number).content.decode()
    assert "under another name" in page
    assert not Order.objects.exists()


def test_members_of_the_team_see_it_and_nobody_else_does(as_doctor, doctor, team, other_doctor):
    enter(as_doctor, doctor, recipient=f"team-{team.pk}")
    order = Order.objects.get()
    stranger = signed_in(other_doctor)
    assert "陳威倫" not in stranger.get("/orders/").content.decode()
    assert stranger.get(order.get_absolute_url()).status_code == 404
    assert stranger.post(f"{order.get_absolute_url()}cancel/").status_code == 404
    assert AuditEntry.objects.filter(what="order-denied").count() == 2
    TeamMembership.objects.create(team=team, user=other_doctor)
    assert "陳威倫" in stranger.get("/orders/").content.decode()
    order.refresh_from_db()
    assert order.state == OrderState.SCHEDULED


def test_nobody_orders_for_doctors_they_do_not_work_with(as_doctor, doctor, other_doctor):
    page = enter(as_doctor, doctor, recipient=f"doctor-{other_doctor.pk}")
    assert page.status_code == 200
    assert not Order.objects.exists()


def test_supervisors_order_for_anybody(as_supervisor, doctor):
    enter(as_supervisor, doctor)
    assert Order.objects.get().doctor == doctor


def test_an_order_is_changed_cancelled_and_scheduled_again(as_doctor, doctor):
    order = make_order(doctor)
    url = order.get_absolute_url()
    form = as_doctor.get(f"{url}edit/").content.decode()
    assert 'value="陳, 威倫"' in form
    assert "09:30" in form
    as_doctor.post(
        f"{url}edit/",
        {"recipient": f"doctor-{doctor.pk}"} | fields(scheduled_time="14:00", sex="F"),
    )
    order.refresh_from_db()
    assert timezone.localtime(order.scheduled_at).strftime("%H:%M") == "14:00"
    assert order.sex == "F"
    assert order.accession_number
    page = as_doctor.post(f"{url}cancel/", follow=True).content.decode()
    assert "Order cancelled" in page
    assert f'action="{url}reopen/"' in page
    assert "cannot be changed" in as_doctor.get(f"{url}edit/", follow=True).content.decode()
    as_doctor.post(f"{url}reopen/")
    order.refresh_from_db()
    assert order.is_scheduled
    events = set(AuditEntry.objects.filter(object_pk=str(order.pk)).values_list("what", flat=True))
    assert events >= {"order-changed", "order-cancelled", "order-reopened", "order-page"}


def test_the_list_is_searched_without_names_in_its_address(as_doctor, doctor):
    make_order(doctor)
    make_order(doctor, name_ideographic="林^小美", name_latin="", name_phonetic="")
    found = as_doctor.post("/orders/", {"send_search": "1", "q": "wei-lun"}, follow=True)
    page = found.content.decode()
    assert "陳威倫" in page
    assert "林小美" not in page
    assert "wei" not in found.redirect_chain[-1][0]
    yesterday = timezone.now() - datetime.timedelta(days=1)
    Order.objects.update(scheduled_at=yesterday)
    assert "No orders from today on" in as_doctor.get("/orders/").content.decode()
    assert "陳威倫" in as_doctor.get("/orders/?period=past").content.decode()


def test_a_list_of_orders_takes_few_queries(as_doctor, doctor, django_assert_max_num_queries):
    for _ in range(8):
        make_order(doctor)
    with django_assert_max_num_queries(24):
        as_doctor.get("/orders/")


# CSV files ------------------------------------------------------------------------------------

HEAD = "病歷號,姓名,英文姓名,生日,性別,檢查日期,檢查時間,團隊,檢查單號\n"
FIRST = f'A1,陳^威倫,"Chen, Wei-Lun",112/5/1,男,{TOMORROW},0930,,S-1\n'
SECOND = f"A2,Lin Mei,,2022-02-03,F,{TOMORROW},14:05,Ward 5,\n"


def upload(browser, text: str, encoding="utf-8"):
    file = SimpleUploadedFile("orders.csv", text.encode(encoding))
    return browser.post("/orders/import/", {"file": file})


def confirm(browser, text: str, **more):
    return browser.post("/orders/import/", {"content": text, "file_name": "orders.csv"} | more)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp950", "utf-16"])
def test_orders_of_a_file_are_shown_first_and_entered_together(encoding, as_doctor, doctor, team):
    text = HEAD + FIRST + SECOND
    page = upload(as_doctor, text, encoding).content.decode()
    assert "陳威倫" in page
    assert "Enter 2 orders" in page
    assert not Order.objects.exists()
    confirm(as_doctor, text)
    first, second = Order.objects.order_by("patient_number")
    assert (first.name_ideographic, first.name_latin) == ("陳^威倫", "Chen^Wei-Lun")
    assert (first.sex, first.accession_number) == ("M", "S-1")
    assert first.birth_date == datetime.date(2023, 5, 1)
    assert (second.name_latin, second.name_ideographic) == ("Lin Mei", "")
    assert second.team == team
    assert second.doctor is None
    assert AuditEntry.objects.filter(what="orders-imported").count() == 1


def test_one_wrong_line_enters_nothing(as_doctor, team):
    text = HEAD + FIRST + f"A2,Lin Mei,,2099-02-03,X,{TOMORROW},25:00,Ward 9,S-1\n"
    for page in (upload(as_doctor, text), confirm(as_doctor, text)):
        shown = page.content.decode()
        assert "1 line has mistakes" in shown
        for message in (
            "is in the future", "Sex: Select a valid choice", "Time: ", "no team of this name",
            "also in line 2",
        ):  # fmt: skip
            assert message in shown
        assert "Enter 2 orders" not in shown
    assert not Order.objects.exists()


def test_doubtful_numbers_of_a_file_are_confirmed(as_doctor, team):
    text = HEAD + FIRST.replace("A1,", "A123456788,")
    assert "check digit" in upload(as_doctor, text).content.decode()
    assert "Check the marked numbers first" in confirm(as_doctor, text).content.decode()
    confirm(as_doctor, text, checked="on")
    assert Order.objects.count() == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,date\nA,B\n", "Missing: number, time"),
        (HEAD, "no lines with orders"),
        (HEAD + FIRST.replace("S-1", "") * 3, "may have 2 orders"),
    ],
    ids=["columns", "empty", "long"],
)
def test_files_that_are_no_lists_of_orders_are_refused(text, message, as_doctor, monkeypatch):
    monkeypatch.setattr(csv_files, "MAX_LINES", 2)
    assert message in upload(as_doctor, text).content.decode()


def test_the_template_is_accepted_as_it_is(as_doctor, doctor):
    text = b"".join(as_doctor.get("/orders/import/orders.csv")).decode()
    assert "Enter 1 order" in upload(as_doctor, text).content.decode()


def test_formulas_of_other_programs_are_no_matter(as_doctor, doctor):
    text = HEAD + FIRST.replace("A1,", "'A1,")
    confirm(as_doctor, text)
    assert Order.objects.get().patient_number == "A1"


def test_machine_learning_staff_see_no_orders(as_ml_engineer):
    assert as_ml_engineer.get("/orders/").status_code == 403
