"""The number of queries of a board page does not depend on the number of posts."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from forum.models import Post, Topic
from tests import board, factories
from tests.conftest import settled

pytestmark = pytest.mark.django_db


@pytest.fixture
def topic(doctor):
    return board.open_topic(doctor, title="右下肺浸潤", body="x")


def queries(browser, address: str) -> int:
    browser.get(address)  # fill the caches
    with CaptureQueriesContext(
        connection,
    ) as asked:
        response = browser.get(address)
    assert response.status_code == 200
    return len(asked)


def fill(topic: Topic, *, other_doctor, people: int) -> None:
    """Let each of `people` users open two topics and reply twice with a mention of the reader."""
    for number, person in enumerate(factories.DoctorFactory.create_batch(people) * 2):
        board.open_topic(person, title=f"浸潤 {number}", body="浸潤")
        board.reply(person, topic, f"浸潤 @{other_doctor.display_name}")


@pytest.mark.parametrize(
    ("address", "most"),
    [
        ("/forum/", 20),
        ("/forum/?q=浸潤", 20),
        ("/forum/?show=unread", 20),
        ("/forum/notifications/", 16),
        ("/forum/{topic}/", 32),
    ],
)
def test_number_of_queries_does_not_grow_with_the_board(
    as_other_doctor, doctor, other_doctor, topic, address, most
):
    address = settled(as_other_doctor, address.format(topic=topic.pk))
    # An empty page takes fewer queries, so a half-full page is compared with a full one.
    fill(topic, other_doctor=other_doctor, people=5)
    few = queries(as_other_doctor, address)
    fill(topic, other_doctor=other_doctor, people=10)
    many = queries(as_other_doctor, address)
    assert many == few
    assert many <= most


def plan(sql: str, parameters: tuple) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)
        return " ".join(str(row) for row in cursor.fetchall())


@pytest.mark.skipif(connection.vendor != "sqlite", reason="reads SQLite's plans")
@pytest.mark.parametrize(
    ("rows", "index"),
    [
        (lambda: Topic.objects.filter(hidden_at__isnull=True).in_order()[:25], "topic_order"),
        (lambda: Topic.objects.in_order()[:25], "topic_all"),
        (
            lambda: Topic.objects.filter(hidden_at__isnull=True, category=1).in_order()[:25],
            "topic_category_order",
        ),
        (
            lambda: Post.objects.filter(topic=1, number__gt=20, number__lte=40).order_by("number"),
            # The index of the unique constraint, which is named by SQLite.
            r"sqlite_autoindex_forum_post_\d+ \(topic_id=\? AND number>\? AND number<\?\)",
        ),
    ],
)
def test_lists_use_an_index_in_its_order(topic, rows, index):
    sql, parameters = rows().query.sql_with_params()
    used = plan(sql, parameters)
    assert re.search(rf"USING INDEX {index}(?!\w)", used), used
    assert "USE TEMP B-TREE FOR ORDER BY" not in used, used
    assert "SCAN forum_post" not in used, used
