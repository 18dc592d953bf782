"""Search in titles and posts, in every script, without hidden posts."""

import pytest
from django.core.management import call_command
from hypothesis import given, settings
from hypothesis import strategies as st

from forum import moderation, pages, search, services
from forum.models import Post
from tests import board

pytestmark = pytest.mark.django_db


def found(words: str) -> list[str]:
    return [Post.objects.get(pk=key).body for key in search.matching(words)]


@pytest.fixture
def topic(doctor):
    return board.open_topic(doctor, title="右下肺浸潤 CT", body="Fever for two days, ＷＢＣ 12k")


@pytest.mark.parametrize(
    "words",
    ["右下", "下肺", "肺浸", "浸潤", "右下肺浸潤", "潤", "右", "CT", "ct", "fever", "feve", "wbc",
     "fever 浸潤", "12k", "Two Days", "右下肺 CT"],
)  # fmt: skip
def test_matching_words_are_found(topic, words):
    assert found(words) == ["Fever for two days, ＷＢＣ 12k"]


@pytest.mark.parametrize("words", ["左下", "右肺", "下浸", "ever", "fever 左下", "潤肺"])
def test_other_words_are_not_found(topic, words):
    assert found(words) == []


@pytest.mark.parametrize("words", ["", " ", "***", '"', "'", "()", "-", "NEAR(", "\x00"])
def test_search_without_letters_finds_nothing(topic, words):
    assert found(words) == []


def test_newest_posts_come_first(doctor, topic):
    board.reply(doctor, topic, "fever again")
    assert found("fever")[0] == "fever again"


def test_edited_post_is_found_by_its_new_text_only(doctor, topic):
    post = board.reply(doctor, topic, "氣胸")
    services.edit_post(author=doctor, post_id=post.pk, body="肋膜積水", version=1)
    assert found("氣胸") == []
    assert found("積水") == ["肋膜積水"]


def test_new_title_is_found(doctor, topic):
    services.edit_post(
        author=doctor, post_id=topic.posts.get().pk, body="b", title="氣胸一例", version=1
    )
    assert found("氣胸") == ["b"]
    assert found("浸潤") == []


def test_deleted_and_hidden_posts_are_not_found(doctor, supervisor, topic):
    post = board.reply(doctor, topic, "unicorn")
    services.delete_post(author=doctor, post_id=post.pk)
    assert found("unicorn") == []
    services.undelete_post(author=doctor, post_id=post.pk)
    assert found("unicorn") == ["unicorn"]
    moderation.hide_post(by=supervisor, post_id=post.pk, reason="r")
    assert found("unicorn") == []
    moderation.show_post(by=supervisor, post_id=post.pk)
    assert found("unicorn") == ["unicorn"]
    moderation.hide_topic(by=supervisor, topic_id=topic.pk, reason="r")
    assert found("unicorn") == found("fever") == []
    moderation.show_topic(by=supervisor, topic_id=topic.pk)
    assert found("unicorn") == ["unicorn"]


def test_page_lists_results_or_says_there_are_none(as_other_doctor, topic):
    page = as_other_doctor.get("/forum/", {"q": "浸潤"}, follow=True).content.decode()
    assert "右下肺浸潤 CT" in page
    assert "1 post found" in " ".join(page.split())
    assert (
        "No results"
        in as_other_doctor.get("/forum/", {"q": "獨角獸"}, follow=True).content.decode()
    )


def test_index_can_be_rebuilt(doctor, supervisor, topic):
    hidden = board.reply(doctor, topic, "unicorn")
    moderation.hide_post(by=supervisor, post_id=hidden.pk, reason="r")
    search.clear()
    assert found("fever") == []
    call_command("index_board", verbosity=0)
    assert len(found("fever")) == 1
    assert found("unicorn") == []


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60))
def test_terms_of_a_text_match_its_tokens(text):
    tokens = f" {search.tokens_of(text)} "
    for phrase, is_beginning in search._terms(text):
        wanted = f" {' '.join(phrase)}" + ("" if is_beginning else " ")
        assert wanted in tokens


@settings(max_examples=60, deadline=None)
@given(words=st.text(max_size=60, alphabet=st.characters(exclude_categories=["Cs"])))
def test_any_text_is_a_valid_search(words):
    sql, query = search._statement(search._terms(words) or [(["w"], True)])
    assert "%s" in sql
    assert not set(query) & set("';\\")


@pytest.mark.parametrize(
    ("body", "words", "line"),
    [
        ("# Head\n\n**bold** [link](http://x.org/) `code`", "bold", "Head bold link code"),
        ("- a\n- b\n\n> q", "", "a b q"),
        (
            "長" * 300 + "獨角獸" + "短" * 300,
            "獨角獸",
            "…" + "長" * 60 + "獨角獸" + "短" * 117 + "…",
        ),
    ],
)
def test_excerpt_is_plain_text_around_the_match(body, words, line):
    shown = pages.excerpt(body, words)
    assert words in shown
    assert len(shown) <= pages.EXCERPT + 2
    assert shown == line
