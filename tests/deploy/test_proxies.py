"""The site in production behind the example of each proxy, where the proxy is installed."""

import http.client
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.utils import timezone

from tests.locks import ROOT
from xraysite.settings import base

pytestmark = pytest.mark.xdist_group("proxies")

HOST = "xray.example.org"
SECONDS = 120
ADD_DOCTOR = """
import django; django.setup()
from accounts import roles, services
services.create_account(
    email="d@example.org", display_name="D", password="x" * 20, role=roles.DOCTOR)
"""
ADDRESSES = """
import django; django.setup()
from accounts.models import AuditEntry
print(sorted({row.remote_addr for row in AuditEntry.objects.filter(what="sign-in-failed")}))
"""


def installed(name: str) -> str | None:
    return os.environ.get(f"{name.upper()}_BIN") or shutil.which(name)


def program(name: str) -> str:
    """Return the path of a proxy; skip the test, by name, without it."""
    found = installed(name)
    if not found:
        pytest.skip(f"NOT TESTED with {name}: it is not installed")
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for the host, signed by itself, and its key."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = timezone.now()
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now).not_valid_after(now.replace(year=now.year + 1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    paths = folder / "fullchain.pem", folder / "privkey.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


class Site:
    """The site with production settings, at a Unix socket."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "web.sock"
        names = ("PATH", "HOME", "LANG", "PYTHONPATH", "OPENBLAS_NUM_THREADS")
        kept = {name: os.environ[name] for name in names if name in os.environ}
        self.environment = kept | {
            "DJANGO_SETTINGS_MODULE": "xraysite.settings.production",
            "SECRET_KEY": "3f1c9a7e5b2d8064" * 5,
            "ALLOWED_HOSTS": HOST,
            "CSRF_TRUSTED_ORIGINS": f"https://{HOST}",
            "XRAYSITE_VAR": str(folder / "var"),
            "TRUSTED_PROXIES": "unix",
            "BEHIND_TLS_PROXY": "true",
            "WEB_CONCURRENCY": "1",
        }
        self.run("manage.py", "migrate", "--verbosity=0")
        self.run("manage.py", "activate_model", base.SHIPPED_MODEL, "--verbosity=0")
        # Compressing every file takes long, and no test below fetches one.
        self.run("-c", "import django; django.setup()\n"
                 "from django.conf import settings\n"
                 "from django.core.management import call_command\n"
                 "settings.WHITENOISE_SKIP_COMPRESS_EXTENSIONS = ['css', 'js', 'mjs', 'svg', "
                 "'json', 'txt', 'html', 'map']\n"
                 "call_command('collectstatic', interactive=False, verbosity=0)")  # fmt: skip
        self.run("-c", ADD_DOCTOR)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--config", "python:xraysite.gunicorn",
             "--bind", f"unix:{self.socket}"],
            cwd=ROOT, env=self.environment,
        )  # fmt: skip

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env=self.environment,
            capture_output=True, text=True, check=False, timeout=SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=SECONDS)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Site]:
    if not (installed("nginx") or installed("caddy")):
        pytest.skip("NOT TESTED with nginx and Caddy: neither is installed")
    site = Site(tmp_path_factory.mktemp("proxied"))
    yield site
    site.stop()


@contextmanager
def running(command: list[str], port: int, environment: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(command, env=os.environ | environment, start_new_session=True)
    try:
        until = time.monotonic() + SECONDS
        while ask(port, "/healthz")[0] != http.HTTPStatus.OK:
            assert process.poll() is None, "the proxy has ended"
            assert time.monotonic() < until, "the site does not answer through the proxy"
            time.sleep(0.3)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def ask(
    port: int, path: str, *, body: str | None = None, **headers: str
) -> tuple[int, http.client.HTTPMessage, str]:
    """Send a request to the proxy over TLS; the status is 0 if there is no answer."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=30) as plain,
            context.wrap_socket(plain, server_hostname=HOST) as secured,
        ):
            connection = http.client.HTTPConnection(HOST)
            connection.sock = secured
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request("POST" if body is not None else "GET", path, body, names)
            response = connection.getresponse()
            return response.status, response.headers, response.read().decode(errors="replace")
    except OSError:
        return 0, http.client.HTTPMessage(), ""


def sign_in(port: int, password: str, **headers: str) -> int:
    """Sign in through the proxy and return the status."""
    _, said, page = ask(port, "/accounts/login/")
    cookies = [value.split(";")[0] for value in said.get_all("Set-Cookie", [])]
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert token is not None
    fields = f"csrfmiddlewaretoken={token[1]}&login=d%40example.org&password={password}"
    return ask(
        port, "/accounts/login/", body=fields, Cookie="; ".join(cookies), Origin=f"https://{HOST}",
        **{"Content-Type": "application/x-www-form-urlencoded"}, **headers,
    )[0]  # fmt: skip


def check(site: Site, port: int) -> None:
    """Check what every proxy must do: TLS, the client's address, the limit of an upload."""
    status, headers, _ = ask(port, "/accounts/login/")
    assert status == 200
    assert "max-age" in headers["Strict-Transport-Security"]
    assert "__Host-csrftoken" in headers["Set-Cookie"]
    forged = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http"}
    assert sign_in(port, "wrong", **forged) == 200
    assert sign_in(port, "x" * 20) == 302
    assert site.run("-c", ADDRESSES).strip() == "['127.0.0.1']"
    too_large = {"Content-Length": str(300 * 2**20), "Content-Type": "multipart/form-data"}
    assert ask(port, "/readings/new/", body="x", **too_large)[0] in {0, 413}


def test_site_behind_nginx(site, tmp_path):
    nginx = program("nginx")
    plain, port = free_port(), free_port()
    certificate, key = write_certificate(tmp_path)
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    for old, new in {
        "/run/xraysite/web.sock": str(site.socket),
        "/etc/ssl/xraysite/fullchain.pem": str(certificate),
        "/etc/ssl/xraysite/privkey.pem": str(key),
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "listen 443 ssl http2;": f"listen 127.0.0.1:{port} ssl http2;",
        "    listen [::]:80;\n": "",
        "    listen [::]:443 ssl http2;\n": "",
    }.items():
        assert old in text
        text = text.replace(old, new)
    configuration = tmp_path / "nginx.conf"
    folders = "".join(
        f"{name}_temp_path {tmp_path}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configuration.write_text(
        f"pid {tmp_path}/pid;\nerror_log {tmp_path}/error.log;\ndaemon off;\n"
        f"{'user root;' if os.geteuid() == 0 else ''}\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{folders}{text}\n}}\n"
    )
    command = [nginx, "-e", f"{tmp_path}/error.log", "-c", str(configuration)]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    with running(command, port, {}):
        check(site, port)
        connection = http.client.HTTPConnection("127.0.0.1", plain, timeout=30)
        connection.request("GET", "/readings/", headers={"Host": HOST})
        response = connection.getresponse()
        assert response.status == 301
        assert response.headers["Location"] == f"https://{HOST}/readings/"
        connection.close()


def test_site_behind_caddy(site, tmp_path):
    caddy = program("caddy")
    port = free_port()
    certificate, key = write_certificate(tmp_path)
    text = (ROOT / "deploy" / "Caddyfile").read_text()
    head = "{$SITE_HOST:xray.example.org} {"
    assert head in text
    configuration = tmp_path / "Caddyfile"
    configuration.write_text(
        f"{{\n\tadmin off\n\tauto_https disable_redirects\n\thttp_port {free_port()}\n}}\n"
        + text.replace(head, f"{head}\n\ttls {certificate} {key}")
    )
    environment = {
        "SITE_HOST": f"https://{HOST}:{port}", "UPSTREAM": f"unix/{site.socket}",
        "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path),
    }  # fmt: skip
    command = [caddy, "run", "--adapter", "caddyfile", "--config", str(configuration)]
    with running(command, port, environment):
        check(site, port)
