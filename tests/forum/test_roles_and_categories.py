"""Who may open topics where, and how the board shows roles."""

import re
from importlib import import_module

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import translation

from accounts import roles
from accounts.models import User
from accounts.names import validate_display_name
from forum import services
from forum.models import Category, Topic
from tests import board
from tests.accounts.sign_up_steps import anonymous_browser, sign_up
from tests.conftest import signed_in
from tests.factories import DoctorFactory, UserFactory
from xraysite.hooks import DiscussionBoard

pytestmark = pytest.mark.django_db


@pytest.fixture
def announcements() -> Category:
    return Category.objects.get(name_en="Announcements")


def choices(browser) -> set[str]:
    page = browser.get("/forum/new/").content.decode()
    return set(re.findall(r'<option value="(\d+)"', page))


def test_the_shipped_announcements_are_the_supervisors(announcements):
    assert announcements.opened_by == Category.Openers.SUPERVISORS
    others = Category.objects.exclude(pk=announcements.pk)
    assert set(others.values_list("opened_by", flat=True)) == {"EVERYONE"}


def test_a_renamed_category_of_announcements_is_found_by_the_migration(announcements):
    Category.objects.filter(pk=announcements.pk).update(name_en="News", opened_by="EVERYONE")
    state = MigrationExecutor(connection).loader.project_state(("forum", "0003_category_openers"))
    import_module("forum.migrations.0003_category_openers").keep_announcements(state.apps, None)
    announcements.refresh_from_db()
    assert announcements.opened_by == "SUPERVISORS"


@pytest.mark.parametrize("person", ["doctor", "ml_engineer"])
def test_only_supervisors_open_announcements(person, request, announcements, supervisor):
    user = request.getfixturevalue(person)
    with pytest.raises(services.ClosedError):
        board.open_topic(user, category=announcements)
    browser = signed_in(user)
    assert str(announcements.pk) not in choices(browser)
    sent = board.form(title="Night shift", category=announcements.pk)
    page = browser.post("/forum/new/", sent).content.decode()
    assert "Select a valid choice" in page
    assert "A text" in page, "nothing that was typed is lost"
    assert not Topic.objects.exists()
    in_list = browser.get("/forum/", {"category": announcements.pk}).content.decode()
    assert f"/forum/new/?category={announcements.pk}" not in in_list
    assert announcements.pk not in dict(DiscussionBoard().categories(user))
    assert str(announcements.pk) in choices(signed_in(supervisor))
    board.open_topic(supervisor, category=announcements)


def test_everybody_replies_to_announcements(doctor, supervisor, announcements):
    topic = board.open_topic(supervisor, category=announcements)
    assert board.reply(doctor, topic).number == 2


def test_a_category_that_was_restricted_meanwhile_loses_no_text(doctor, as_doctor, monkeypatch):
    def refuse(**kwargs):
        raise services.ClosedError

    monkeypatch.setattr(services, "open_topic", refuse)
    sent = board.form(title="A title", category=board.open_category().pk)
    page = as_doctor.post("/forum/new/", sent).content.decode()
    assert "This category is closed to new topics" in page
    assert "A text" in page


def test_supervisors_choose_in_the_admin_who_opens_topics(as_supervisor, announcements):
    page = as_supervisor.get(f"/admin/forum/category/{announcements.pk}/change/").content.decode()
    assert "Supervisors only" in page
    fields = {"name_zh_hant": "公告", "name_en": "Announcements", "position": 1}
    as_supervisor.post(
        f"/admin/forum/category/{announcements.pk}/change/", fields | {"opened_by": "EVERYONE"}
    )
    announcements.refresh_from_db()
    assert announcements.opened_by == "EVERYONE"


def badges(page: str) -> list[str]:
    found = re.findall(r'<span class="role-badge role-(\w+)">', page)
    return list(found)


def test_posts_show_the_real_role_of_their_author(as_doctor, doctor, supervisor, ml_engineer):
    topic = board.open_topic(doctor)
    board.reply(supervisor, topic)
    board.reply(ml_engineer, topic)
    board.reply(UserFactory(is_superuser=True, is_staff=True), topic)
    page = as_doctor.get(f"/forum/{topic.pk}/").content.decode()
    assert badges(page) == ["doctor", "supervisor", "ml_staff", "administrator"]
    assert badges(as_doctor.get("/forum/").content.decode()) == ["doctor", "administrator"]
    assert "supervisor" not in badges(
        as_doctor.get("/forum/?q=knows", follow=True).content.decode()
    )
    board.reply(doctor, topic)
    board.reply(supervisor, topic)
    news = as_doctor.get("/forum/notifications/").content.decode()
    assert badges(news)[:1] == ["supervisor"]


def test_a_suspended_account_has_no_role(as_doctor, doctor, supervisor):
    topic = board.open_topic(supervisor)
    User.objects.filter(pk=supervisor.pk).update(approval="SUSPENDED")
    assert badges(as_doctor.get(f"/forum/{topic.pk}/").content.decode()) == []


IMITATIONS = [
    "林淑芬 督導", "Lin (Supervisor)", "SUPERVISOR Lin", "S u p e r v i s o r", "Super-visor Lin",
    "Superv1sor", "Ｓｕｐｅｒｖｉｓｏｒ", "Súpervisor", "Ѕupervisor", "Lin ✔", "Lin ⭐",
    "Lin\u200b", "Lin\nSupervisor", "admin", "Lin.Admin", "版主", "系統管理員",
    "Machine-learning staff", "機器學習人員", "𝐒upervisor",
]  # fmt: skip


@pytest.mark.parametrize("name", IMITATIONS)
def test_no_name_passes_for_a_badge(name, doctor, as_doctor):
    with pytest.raises(ValidationError):
        validate_display_name(name)
    page = as_doctor.post("/accounts/profile/", {"display_name": name})
    assert page.status_code == 200
    doctor.refresh_from_db()
    assert doctor.display_name == "王怡君"
    sign_up(anonymous_browser(), display_name=name)
    assert not User.objects.filter(display_name=name).exists()


@pytest.mark.parametrize(
    "name",
    [
        "王怡君", "王怡君 醫師", "Chen Wei-Lun", "O'Brien", "José Müller", "Дмитрий Иванов",
        "Dr. Adminah Lee", "Modesta Root-Hansen", "阿美·Panay", "Nguyễn Văn A", "林, 小華",
    ],
)  # fmt: skip
def test_names_of_people_are_accepted(name):
    validate_display_name(name)


def test_every_role_has_a_badge_and_no_name_of_one_is_accepted():
    assert set(roles.BADGES) == set(roles.PERMISSIONS)
    for language in ("en", "zh-hant"):
        with translation.override(language):
            for role in (roles.SUPERVISOR, roles.ML_STAFF):
                with pytest.raises(ValidationError):
                    validate_display_name(f"Lin {roles.NAMES[role]}")


def test_badges_cost_no_query_per_person(as_doctor, doctor, django_assert_max_num_queries):
    topic = board.open_topic(doctor)
    for person in DoctorFactory.create_batch(8):
        board.reply(person, topic)
    with django_assert_max_num_queries(34):
        as_doctor.get(f"/forum/{topic.pk}/")
