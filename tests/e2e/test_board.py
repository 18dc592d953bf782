"""The discussion board in a browser, with two doctors and a supervisor."""

import hashlib

import pytest
from playwright.sync_api import Browser, Page, expect

from accounts.models import User
from diagnosis import storage
from forum import moderation
from forum.models import Draft, Post, Topic
from tests import board
from tests.e2e.conftest import add_authenticator_app, new_context, settle, sign_in
from tests.e2e.test_pages import WIDTHS, problems_of
from tests.factories import DoctorFactory, ReadingFactory
from tests.films import encode, synthetic_film


@pytest.fixture
def colleague(site) -> User:
    return DoctorFactory(email="chen@example.org", display_name="Chen Wei-Lun", hospital="Clinic")


@pytest.fixture
def colleague_page(browser: Browser, site, colleague):
    """The colleague's browser."""
    context = new_context(browser)
    page = context.new_page()
    sign_in(page, site, colleague.email)
    yield page
    context.close()


def write_topic(page: Page, site: str, title: str) -> None:
    page.goto(f"{site}/forum/new/")
    page.locator("#id_title").fill(title)
    page.locator("#id_category").select_option(index=1)


def reply(page: Page, text: str) -> None:
    page.locator("#reply textarea").fill(text)
    page.get_by_role("button", name="Post reply").click()


def test_topic_reply_mention_notification_edit_and_lock(
    browser,
    page: Page,
    colleague_page: Page,
    site,
    site_doctor,
    site_supervisor,
    colleague,
):
    sign_in(page, site, site_doctor.email)

    # Topic with a completed mention and a live preview
    write_topic(page, site, "右下肺浸潤")
    text = page.locator("#id_body")
    text.press_sequentially("**Look**, @Chen")
    expect(page.get_by_role("option", name="Chen Wei-Lun")).to_be_visible()
    text.press("Enter")
    expect(text).to_have_value("**Look**, @Chen Wei-Lun ")
    expect(page.locator("[data-preview-body] strong")).to_have_text("Look")
    expect(page.locator("[data-preview-body] .mention")).to_have_text("@Chen Wei-Lun")
    page.get_by_role("button", name="Post topic").click()
    page.wait_for_url("**/forum/*/")
    topic = Topic.objects.get()

    # The colleague is notified and replies without a page load
    colleague_page.goto(f"{site}/")
    expect(colleague_page.locator(".bell .count-badge")).to_contain_text("1")
    colleague_page.locator(".bell").click()
    colleague_page.get_by_role("link", name="右下肺浸潤").click()
    expect(colleague_page.locator(".bell .count-badge")).to_have_count(0)
    # Until htmx has loaded, the browser itself sends the form.
    colleague_page.wait_for_load_state()
    colleague_page.evaluate("window.stays = true")
    reply(colleague_page, "I see nothing. A123456789")
    expect(colleague_page.locator("#reply .notice-warning")).to_contain_text("national identity")
    assert topic.posts.count() == 1
    reply(colleague_page, "I see nothing.")
    expect(colleague_page.locator("#post-2")).to_contain_text("I see nothing.")
    expect(colleague_page.locator("#reply textarea")).to_have_value("")
    assert colleague_page.evaluate("window.stays") is True

    # Inline edit
    colleague_page.locator("#post-2").get_by_role("link", name="Edit").click()
    colleague_page.locator("#post-2 textarea").fill("I see *something*.")
    colleague_page.get_by_role("button", name="Save changes").click()
    expect(colleague_page.locator("#post-2 em")).to_have_text("something")
    expect(colleague_page.locator("#post-2")).to_contain_text("edited")
    assert colleague_page.evaluate("window.stays") is True

    # Quoting
    page.reload()
    expect(page.locator("#post-2")).to_contain_text("new")
    page.locator("#post-2").get_by_role("link", name="Quote").click()
    expect(page.locator("#reply textarea")).to_have_value(
        f"> [Chen Wei-Lun #2](/forum/posts/{topic.posts.get(number=2).pk}/)\n>\n"
        "> I see *something*.\n\n"
    )

    # Lock by a supervisor
    supervisor_page = new_context(browser).new_page()
    sign_in(
        supervisor_page, site, site_supervisor.email, secret=add_authenticator_app(site_supervisor)
    )
    supervisor_page.goto(f"{site}/forum/{topic.pk}/")
    supervisor_page.get_by_text("Moderator actions").click()
    supervisor_page.get_by_role("button", name="Lock", exact=True).click()
    expect(supervisor_page.locator("main")).to_contain_text("The topic is locked.")
    supervisor_page.context.close()
    page.get_by_role("button", name="Post reply").click()
    expect(page.locator("#reply")).to_contain_text("locked in the meantime")
    expect(page.locator("#reply")).to_contain_text("I see *something*.")
    assert topic.posts.count() == 2


def test_shared_case_is_visible_until_withdrawn(
    page: Page, colleague_page: Page, site, site_doctor
):
    film = encode(synthetic_film("PNEUMONIA", seed=6, size=900), "jpeg")
    sha256 = hashlib.sha256(film).hexdigest()
    storage.keep(storage.original_name(sha256), film)
    reading = ReadingFactory(
        doctor=site_doctor, film_sha256=sha256, film_width=900, film_height=900,
        patient_name="陳小明", label="PNEUMONIA", probabilities={"NORMAL": 0.1, "PNEUMONIA": 0.9},
    )  # fmt: skip
    sign_in(page, site, site_doctor.email)
    page.goto(f"{site}/readings/{reading.pk}/")
    page.get_by_role("link", name="Share as a case").click()
    page.locator("select[name=category]").select_option(index=1)
    page.locator("textarea[name=body]").fill("這是陳小明的片子")
    page.get_by_role("button", name="Preview post").click()
    expect(page.locator(".notice-warning")).to_contain_text("陳小明")
    page.get_by_role("button", name="Back").click()
    page.locator("textarea[name=body]").fill("大家怎麼看？")
    page.get_by_role("button", name="Preview post").click()
    expect(page.locator(".notice-warning")).to_have_count(0)
    page.get_by_label("I have checked image and text").check()
    page.get_by_role("button", name="Post to discussion board").click()
    page.wait_for_url("**/forum/*/**")

    colleague_page.goto(page.url)
    picture = colleague_page.locator("#post-1 .post-body img")
    expect(picture).to_be_visible()
    assert picture.evaluate("picture => picture.naturalWidth") == 900

    page.goto(f"{site}/readings/{reading.pk}/delete/")
    expect(page.locator("main")).to_contain_text("discussion board")
    page.locator("main form button[type=submit]").first.click()
    expect(page.locator("main")).to_contain_text("withdrawn permanently")
    colleague_page.reload()
    expect(colleague_page.locator("#post-1")).to_contain_text("was withdrawn")
    expect(colleague_page.locator("#post-1 .post-body img")).to_have_count(0)


def test_hidden_result_and_large_image_by_keyboard(
    page: Page, colleague_page: Page, site, site_doctor
):
    topic = board.open_case(site_doctor)
    post = topic.posts.get()
    post.body = f":::spoiler Model's result\nPneumonia\n:::\n\n{post.body}"
    post.save()
    colleague_page.goto(f"{site}/forum/{topic.pk}/")
    result = colleague_page.get_by_text("Pneumonia")
    expect(result).to_be_hidden()
    colleague_page.locator("details.spoiler > summary").press("Enter")
    expect(result).to_be_visible()
    colleague_page.locator(".picture-link").press("Enter")
    colleague_page.wait_for_url("**/large/")
    image = colleague_page.locator("[data-stage] img")
    settle(colleague_page)
    fitting = image.bounding_box()["width"]
    stage = colleague_page.locator("[data-stage]")
    expect(stage).to_be_focused()
    stage.press("+")
    expect(colleague_page.locator("[data-zoom]")).to_have_text("125%")
    assert image.bounding_box()["width"] == pytest.approx(1.25 * fitting, rel=0.02)
    stage.press("0")
    expect(colleague_page.locator("[data-zoom]")).to_have_text("100%")
    colleague_page.get_by_role("button", name="Zoom in").click()
    expect(colleague_page.locator("[data-zoom]")).to_have_text("125%")
    colleague_page.locator(".crumb").click()
    colleague_page.wait_for_url(f"**/forum/{topic.pk}/**")


def test_draft_survives_a_closed_tab(page: Page, site, site_doctor):
    sign_in(page, site, site_doctor.email)
    write_topic(page, site, "Half a title")
    page.locator("#id_body").press_sequentially("half a thought")
    expect(page.locator("[data-editor-state]")).to_have_text("Draft saved")
    again = page.context.new_page()
    page.close()
    again.goto(f"{site}/forum/new/")
    expect(again.locator("#id_title")).to_have_value("Half a title")
    expect(again.locator("#id_body")).to_have_value("half a thought")
    again.get_by_role("button", name="Discard draft").click()
    expect(again.locator("[data-editor-state]")).to_have_text("Draft discarded")
    assert not Draft.objects.exists()


def test_image_is_uploaded_from_the_editor(page: Page, site, site_doctor, tmp_path):
    topic = board.open_topic(site_doctor)
    sign_in(page, site, site_doctor.email)
    page.goto(f"{site}/forum/{topic.pk}/")
    file = tmp_path / "p.png"
    file.write_bytes(board.picture(size=(300, 200)))
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Insert image").click()
    chooser.value.set_files(file)
    expect(page.locator("[data-preview-body] img")).to_be_visible()
    page.get_by_role("button", name="Post reply").click()
    shown = page.locator("#post-2 img")
    expect(shown).to_be_visible()
    assert shown.evaluate("picture => picture.naturalWidth") == 300


def test_board_works_without_javascript(browser, site, site_doctor, colleague, tmp_path):
    context = browser.new_context(java_script_enabled=False, locale="en-US")
    page = context.new_page()
    sign_in(page, site, site_doctor.email)
    write_topic(page, site, "Plain")
    page.locator("#id_body").fill("**plain** text")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator(".preview strong")).to_have_text("plain")
    page.get_by_role("button", name="Post topic").click()
    expect(page.locator("#post-1 strong")).to_have_text("plain")
    file = tmp_path / "p.png"
    file.write_bytes(board.picture())
    page.get_by_label("Add an image").set_input_files(file)
    reply(page, "a reply")
    expect(page.locator("#post-2 img")).to_be_visible()
    page.locator("#post-2").get_by_role("link", name="Edit").click()
    page.locator("textarea").fill("a better reply")
    page.get_by_role("button", name="Save changes").click()
    expect(page.locator("#post-2")).to_contain_text("a better reply")
    page.locator("#post-2").get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete post").click()
    expect(page.locator("#post-2")).to_contain_text("deleted by its author")
    page.get_by_role("button", name="Restore post").click()
    expect(page.locator("#post-2")).to_contain_text("a better reply")
    page.goto(f"{site}/forum/?q=plain")
    expect(page.locator(".topics")).to_contain_text("Plain")
    context.close()


@pytest.fixture
def busy_board(site_doctor, site_supervisor, colleague) -> Topic:
    """A topic of more than one page with every kind of post and an unbreakable title."""
    topic = board.open_topic(site_doctor, title="Featherstonehaugh" * 4, body="x" * 300)
    body = "> q\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n`code` https://example.org/"
    board.reply(colleague, topic, f"@{site_doctor.display_name} {body}")
    for kind in ("deleted", "hidden", "erased"):
        post = board.reply(colleague, topic, kind)
        if kind == "deleted":
            Post.objects.filter(pk=post.pk).update(deleted_at=post.created_at)
        elif kind == "hidden":
            moderation.hide_post(by=site_supervisor, post_id=post.pk, reason="r")
        else:
            moderation.erase_post(by=site_supervisor, post_id=post.pk, reason="r")
    for number in range(20):
        board.reply(colleague, topic, f"reply {number}")
    moderation.pin_topic(by=site_supervisor, topic_id=topic.pk, is_pinned=True)
    return topic


@pytest.mark.parametrize(("language", "width", "other"), WIDTHS)
def test_board_pages_are_accessible_and_fit(
    browser, site, busy_board, site_doctor, site_supervisor, language, width, other
):
    own, reply = busy_board.posts.get(number=1), busy_board.posts.get(number=2)
    pages = [
        "/forum/", "/forum/?q=reply", "/forum/?q=nothing", "/forum/?show=own", "/forum/new/",
        f"/forum/{busy_board.pk}/", f"/forum/{busy_board.pk}/?page=2&quote=2",
        f"/forum/posts/{own.pk}/edit/", f"/forum/posts/{own.pk}/delete/",
        f"/forum/posts/{own.pk}/history/", f"/forum/posts/{reply.pk}/report/",
        "/forum/notifications/",
    ]  # fmt: skip
    context = new_context(browser, language=language, width=width)
    page = context.new_page()
    sign_in(page, site, site_doctor.email)
    found = problems_of(page, site, pages, language, widths=(other,))
    context.close()
    assert found == {}


def test_moderation_pages_are_accessible(page: Page, site, busy_board, site_supervisor):
    sign_in(page, site, site_supervisor.email, secret=add_authenticator_app(site_supervisor))
    page.emulate_media(color_scheme="dark")
    post = busy_board.posts.get(number=2)
    pages = [
        f"/forum/{busy_board.pk}/", f"/forum/{busy_board.pk}/hide/",
        f"/forum/posts/{post.pk}/hide/",
    ]  # fmt: skip
    assert problems_of(page, site, pages) == {}
