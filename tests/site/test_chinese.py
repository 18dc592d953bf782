"""The Traditional Chinese texts of libraries are complete and as written in Taiwan."""

import re
from importlib.util import find_spec
from pathlib import Path

import polib
import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from django.conf import settings
from django.core import mail
from django.test import Client
from django.utils import translation
from django.utils.html import strip_tags
from django.utils.translation import trans_real

from accounts.models import User
from tests.accounts.sign_up_steps import anonymous_browser, applicant, sign_up
from tests.conftest import give_two_factor_code
from tests.factories import PASSWORD, DoctorFactory, SupervisorFactory, UserFactory

OVERRIDES = Path(settings.BASE_DIR, "locale_overrides/zh_Hant/LC_MESSAGES")
# Catalogues with every text of a library; those of other languages are incomplete.
LIBRARIES = {
    "django.conf": "en",
    "django.contrib.admin": "en",
    "django.contrib.auth": "en",
    "django.contrib.humanize": "en",
    "allauth": "en",
    "auditlog": "ja",
}
# Libraries without any catalogue: their texts are read from their modules.
MODULES = ("django_tasks.base", "django_tasks_db.models")
TEXT = re.compile(r'(?:pgettext_lazy\("(?P<context>\w+)", |_\()"(?P<text>[^"]+)"')
MAINLAND = re.compile(
    "登錄|登陸|用戶|郵箱|默認|缺省|信息|賬[號戶]|帳戶|删|激活|當前|導航|聯系|聯繫|重置|令牌|哈希|禁用"
    "|通過設|數據|屏幕|視頻|服務器|對象|程序|軟件|菜單|訪問|鏈接|鼠標|文件夾|質量"
)
HALF_WIDTH = re.compile(r"[\u4e00-\u9fff] *[,;:?!](?!\w)|[\u4e00-\u9fff]\.(?!\w)")

pytestmark = pytest.mark.django_db


@pytest.fixture
def untranslated(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The English texts that were looked up in Chinese without a translation."""
    found: set[str] = set()
    gettext, ngettext = trans_real.gettext, trans_real.ngettext

    def note(message: str, translated: str) -> None:
        message = str(message)
        same = translation.get_language() == "zh-hant" and str(translated) == message
        if same and re.search("[A-Za-z]{3}", message.replace("xraysite", "")):
            found.add(message)

    def noting_gettext(message: str) -> str:
        translated = gettext(message)
        note(message, translated)
        return translated

    def noting_ngettext(singular: str, plural: str, number: int) -> str:
        translated = ngettext(singular, plural, number)
        note(singular, translated)
        note(plural, translated)
        return translated

    for module in (trans_real, translation._trans):
        monkeypatch.setattr(module, "gettext", noting_gettext, raising=False)
        monkeypatch.setattr(module, "ngettext", noting_ngettext, raising=False)
    return found


def chinese(user: User) -> Client:
    """Return a Chinese browser of `user`, with a recent authentication."""
    browser = Client(headers={"accept-language": "zh-hant"})
    browser.force_login(user)
    give_two_factor_code(browser, user)
    session = browser.session
    session["account_authentication_methods"][0]["reauthenticated"] = True
    session.save()
    return browser


def words_of(response) -> str:
    """Return the visible text of a page."""
    assert response.status_code in {200, 400, 422}, response
    # Labels of Django's widget for password hashes.
    page = response.content.decode().replace(": <bdi>", "<bdi>")
    assert 'lang="zh-hant"' in page
    return strip_tags(re.sub(r"(?s)<(script|style|head)\b.*?</\1>", "", page))


def faults_of(text: str) -> list[str]:
    return [m.group() for pattern in (MAINLAND, HALF_WIDTH) for m in pattern.finditer(text)]


ADMIN = "/admin/accounts/user/"
REFUSED = {
    "/accounts/login/": {"login": "nobody@example.org", "password": "wrong"},
    "/accounts/signup/": {"email": "nonsense", "password1": "1234", "password2": "12345"},
    "/accounts/password/reset/": {"email": "nonsense"},
}
REFUSED_INSIDE = {
    "/accounts/password/change/": {"oldpassword": "x", "password1": "1234", "password2": "5"},
    "/accounts/email/": {"email": "nonsense", "action_add": ""},
    "/accounts/reauthenticate/": {"password": "wrong"},
    "/accounts/2fa/reauthenticate/": {"code": "000000"},
    "/accounts/2fa/webauthn/add/": {"name": "x", "credential": "nonsense"},
    "/accounts/profile/": {"display_name": "", "language": "x", "time_zone": "x"},
    "/accounts/profile/picture/": {"picture": ""},
}


@pytest.mark.parametrize("address", REFUSED)
def test_refused_forms_of_anonymous_users(address, untranslated):
    browser = anonymous_browser("zh-hant")
    for fields in ({}, REFUSED[address]):
        text = words_of(browser.post(address, fields))
        assert faults_of(text) == []
        assert ("此欄必填。" in text) == (not fields or address == "/accounts/signup/")
    assert untranslated == set()


@pytest.mark.parametrize("address", REFUSED_INSIDE)
def test_refused_forms_of_the_profile(address, untranslated):
    user = DoctorFactory(language="zh-hant")
    browser = chinese(user)
    RecoveryCodes.activate(user)
    assert faults_of(words_of(browser.post(address, REFUSED_INSIDE[address]))) == []
    assert untranslated == set()


def test_pages_of_two_factor_authentication(untranslated):
    user = DoctorFactory(language="zh-hant")
    browser = chinese(user)
    RecoveryCodes.activate(user)
    pages = ["", "totp/deactivate/", "recovery-codes/", "recovery-codes/generate/", "webauthn/",
             "webauthn/add/", "reauthenticate/"]  # fmt: skip
    for page in pages:
        assert faults_of(words_of(browser.get(f"/accounts/2fa/{page}"))) == [], page
    browser.post("/accounts/2fa/totp/deactivate/")
    text = words_of(browser.post("/accounts/2fa/totp/activate/", {"code": "12"}))
    assert "驗證碼不正確。" in text
    assert faults_of(text) == []
    assert untranslated == set()


def test_admin(untranslated, reading):
    waiting = applicant(anonymous_browser("zh-hant"))
    supervisor = SupervisorFactory(language="zh-hant")
    root = UserFactory(is_staff=True, is_superuser=True, language="zh-hant")
    person = f"{ADMIN}{waiting.pk}/"
    for user, addresses in {
        supervisor: ["", f"{person}change/", f"{person}history/", f"{person}approve/"],
        root: [f"{ADMIN}add/", f"{person}password/", f"{ADMIN}{root.pk}/change/"],
    }.items():
        browser = chinese(user)
        for address in ["/admin/", ADMIN, "/admin/diagnosis/reading/", *filter(None, addresses)]:
            assert faults_of(words_of(browser.get(address))) == [], address
        assert faults_of(words_of(browser.post("/admin/password_change/", {}))) == []
    text = words_of(browser.post(f"{ADMIN}add/", {}))
    assert "請修正以下錯誤。" in text
    assert "此欄必填。" in text
    assert faults_of(text) == []
    assert untranslated == set()


def test_mails(untranslated, transactional_db):
    sign_up(anonymous_browser("zh-hant"))
    user = DoctorFactory(language="zh-hant")
    browser = chinese(user)
    RecoveryCodes.activate(user)
    browser.post("/accounts/2fa/recovery-codes/generate/")
    browser.post("/accounts/2fa/totp/deactivate/")
    new = "another long enough phrase"
    browser.post(
        "/accounts/password/change/", {"oldpassword": PASSWORD, "password1": new, "password2": new}
    )
    for email in (user.email, "nobody@example.org"):
        anonymous_browser("zh-hant").post("/accounts/password/reset/", {"email": email})
    assert len(mail.outbox) == 6
    for message in mail.outbox:
        subject = message.subject.removeprefix(settings.ACCOUNT_EMAIL_SUBJECT_PREFIX)
        assert not re.search("[A-Za-z]{3}", subject.replace("App", "")), subject
        assert faults_of(f"{subject}\n{message.body}") == []
    assert untranslated == set()


def test_every_override_matches_a_library_text():
    """An override has no effect once the library rewords its text."""
    known = set()
    for name, language in LIBRARIES.items():
        (folder,) = find_spec(name).submodule_search_locations
        for path in Path(folder, "locale", language).rglob("*.po"):
            known |= {(e.msgctxt, e.msgid, e.msgid_plural) for e in polib.pofile(str(path))}
    for name in MODULES:
        source = Path(find_spec(name).origin).read_text()
        known |= {(found["context"], found["text"], "") for found in TEXT.finditer(source)}
    catalogues = sorted(OVERRIDES.glob("*.po"))
    overridden = {
        (e.msgctxt, e.msgid, e.msgid_plural) for path in catalogues for e in polib.pofile(str(path))
    }
    assert len(catalogues) == 2
    assert overridden - known == set()


@pytest.mark.parametrize("name", ["django.po", "djangojs.po"])
def test_overrides_are_written_as_in_taiwan(name):
    for entry in polib.pofile(str(OVERRIDES / name)):
        text = entry.msgstr or entry.msgstr_plural[0]
        assert faults_of(text) == [], text
