"""Dates look the same everywhere: one format for tables, one for sentences."""

import re
from datetime import UTC, date, datetime

import pytest
from django.template import Context, Template
from django.utils import translation

from accounts.models import User
from tests.conftest import signed_in

WHEN = datetime(2026, 11, 27, 6, 5, tzinfo=UTC)  # 14:05 in Taipei
# Django's default formats: "Nov. 27, 2026", "2026年11月27日", "2 p.m."
OTHER = re.compile(r"[A-Z][a-z]{2,8}\.? \d{1,2}, \d{4}|\d年|[ap]\.m\.|\d/\d")


@pytest.mark.parametrize(
    ("template", "english", "chinese"),
    [
        ('{{ day|date:"SHORT_DATE_FORMAT" }}', "2026-11-27", "2026-11-27"),
        ("{{ day }}", "2026-11-27", "2026-11-27"),
        ("{{ when }}", "2026-11-27 14:05", "2026-11-27 14:05"),
        ('{{ when|date:"SHORT_DATETIME_FORMAT" }}', "2026-11-27 14:05", "2026-11-27 14:05"),
        ("{{ day|long_date }}", "27 November 2026", "2026 年 11 月 27 日"),
        ("{{ when|long_date }}", "27 November 2026", "2026 年 11 月 27 日"),
        ("{{ when|long_datetime }}", "27 November 2026, 14:05", "2026 年 11 月 27 日 14:05"),
        ("{{ nothing|long_date }}{{ nothing|long_datetime }}", "", ""),
    ],
)
def test_a_date_in_each_language(template, english, chinese):
    context = Context({"day": date(2026, 11, 27), "when": WHEN})
    for language, expected in (("en", english), ("zh-hant", chinese)):
        with translation.override(language):
            assert Template(template).render(context) == expected


@pytest.mark.parametrize("language", ["en", "zh-hant"])
def test_the_admin_shows_dates_as_tables_do(language, supervisor, doctor):
    User.objects.update(date_joined=WHEN, last_login=WHEN)
    browser = signed_in(supervisor)
    for address in ("/admin/accounts/user/", f"/admin/accounts/user/{doctor.pk}/change/"):
        page = browser.get(address, headers={"accept-language": language}).content.decode()
        assert "2026-11-27 14:05" in page
        assert OTHER.findall(page.split("<main")[1]) == []


@pytest.mark.parametrize("language", ["en", "zh-hant"])
def test_numbers_are_grouped_by_three(language):
    with translation.override(language):
        assert Template('{{ n|floatformat:"g" }}').render(Context({"n": 1234567})) == "1,234,567"
