"""The site with production settings, in another process."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
GOOD_KEY = "3f1c9a7e5b2d8064" * 5

LOOK = """
import django
django.setup()
from django.conf import settings
from django.core.management import call_command
from django.test import Client
call_command("migrate", verbosity=0)
# Compressing every file takes ten seconds, and nothing below looks at the compressed ones.
text = ["css", "js", "mjs", "svg", "json", "txt", "html", "map"]
settings.WHITENOISE_SKIP_COMPRESS_EXTENSIONS = text
call_command("collectstatic", interactive=False, verbosity=0)
browser = Client(headers={"host": "xray.example.org"})
plain = browser.get("/accounts/login/")
print("plain", plain.status_code, plain.headers["Location"])
page = browser.get("/accounts/login/", secure=True)
print("status", page.status_code)
for name, value in page.headers.items():
    print("header", name, value)
from accounts import roles, services
services.create_account(
    email="d@example.org", display_name="D", password="x" * 20, role=roles.DOCTOR
)
sent = {"login": "d@example.org", "password": "x" * 20}
print("signed in", browser.post("/accounts/login/", sent, secure=True).headers["Location"])
for name, cookie in browser.cookies.items():
    print("cookie", name, cookie["secure"], cookie["httponly"], cookie["samesite"], cookie["path"])
other = Client(headers={"host": "evil.example"})
print("other host", other.get("/", secure=True).status_code)
"""


def run(tmp_path: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
        env=inherited | {
            "DJANGO_SETTINGS_MODULE": "xraysite.settings.production",
            "ALLOWED_HOSTS": "xray.example.org",
            "CSRF_TRUSTED_ORIGINS": "https://xray.example.org",
            "XRAYSITE_VAR": str(tmp_path),
        } | environment,
    )  # fmt: skip


@pytest.mark.parametrize(
    "key",
    [
        None,
        "",
        "secret",
        "change-me",
        "a" * 64,
        "django-insecure-0123456789abcdefghijklmnopqrstuvwxyz0123456789",
    ],
)
def test_production_does_not_start_with_a_weak_secret_key(tmp_path, key):
    environment = {} if key is None else {"SECRET_KEY": key}
    done = run(tmp_path, "manage.py", "check", **environment)
    assert done.returncode != 0
    assert "SECRET_KEY" in done.stderr.splitlines()[-1]


def test_production_check_fails_without_allowed_hosts(tmp_path):
    done = run(tmp_path, "manage.py", "check", "--deploy", "--fail-level", "WARNING",
               SECRET_KEY=GOOD_KEY, ALLOWED_HOSTS="")  # fmt: skip
    assert done.returncode != 0
    assert "ALLOWED_HOSTS" in done.stderr


def test_deployment_check_reports_no_issues(tmp_path):
    done = run(tmp_path, "manage.py", "check", "--deploy", "--fail-level", "WARNING",
               SECRET_KEY=GOOD_KEY)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "no issues (0 silenced)" in done.stdout


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"ALLOWED_HOSTS": "*"}, "xraysite.W005"),
        ({"CSRF_TRUSTED_ORIGINS": ""}, "xraysite.W006"),
        ({"BEHIND_TLS_PROXY": "true"}, "xraysite.W007"),
        ({"TRUSTED_PROXIES": "10.0.0.1,0.0.0.0/0"}, "xraysite.W008"),
        ({"TRUSTED_PROXIES": "::/0"}, "xraysite.W008"),
        ({"PRIVATE_MEDIA_ROOT": "/dev/null/films"}, "xraysite.E003"),
        ({"WEB_CONCURRENCY": "100000"}, "xraysite.W009"),
    ],
)
def test_deployment_check_reports_an_unsafe_setting(tmp_path, environment, expected):
    done = run(tmp_path, "manage.py", "check", "--deploy", "--fail-level", "WARNING",
               **{"SECRET_KEY": GOOD_KEY} | environment)  # fmt: skip
    assert done.returncode != 0
    assert re.findall(r"xraysite\.[EW]\d{3}", done.stderr).count(expected) >= 1
    assert "HINT: " in done.stderr


def test_deployment_check_accepts_a_proxy_that_is_named(tmp_path):
    done = run(tmp_path, "manage.py", "check", "--deploy", "--fail-level", "WARNING",
               SECRET_KEY=GOOD_KEY, BEHIND_TLS_PROXY="true",
               TRUSTED_PROXIES="10.0.0.0/8,unix,fc00::/7")  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_responses_in_production(tmp_path):
    done = run(tmp_path, "-c", LOOK, SECRET_KEY=GOOD_KEY)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "plain 301 https://xray.example.org/accounts/login/" in lines
    assert "status 200" in lines
    assert "signed in /" in lines
    assert "other host 400" in lines
    said = "\n".join(lines)
    assert "header Strict-Transport-Security max-age=31536000; includeSubDomains; preload" in lines
    assert "header Referrer-Policy same-origin" in lines
    assert "header Cross-Origin-Opener-Policy same-origin" in lines
    assert "unsafe" not in said
    cookies = {line.split()[1]: line.split()[2:] for line in lines if line.startswith("cookie")}
    assert cookies == {
        name: ["True", "True", "Lax", "/"] for name in ("__Host-csrftoken", "__Host-sessionid")
    } | {"known_device": ["True", "True", "Lax", "/accounts/"]}
