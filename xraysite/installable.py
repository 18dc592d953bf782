"""The web app: its manifest, its service worker, and the page shown without a connection.

The service worker keeps the files of that page and nothing else: no page of a signed-in user ever
enters its cache. See docs/decisions/0056.
"""

import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import ManifestFilesMixin, staticfiles_storage
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import override
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from diagnosis.forms.readings import ReadingForm

THEME_COLOUR = "#0a5a6c"
BACKGROUND = "#f3f6f7"
ICON_SIZES = (192, 512)
# import { name } from "./module.js";
IMPORT = re.compile(r"""\bfrom\s*["'](\./[^"']+)["']""")


class Kept(NamedTuple):
    """What the service worker keeps.

    Attributes:
        files: URLs of static files.
        version: changes with the files and with the pages.
    """

    files: tuple[str, ...]
    version: str


@login_not_required
@require_safe
def manifest(request: HttpRequest, language: str) -> JsonResponse:
    """Describe the app to browsers that install it."""
    _require(language)
    with override(language):
        content = _manifest(language)
    return JsonResponse(content, content_type="application/manifest+json")


@login_not_required
@never_cache
@require_safe
def worker(request: HttpRequest) -> HttpResponse:
    """Return the service worker; where `OFFLINE` is off, one that removes itself."""
    config: dict[str, Any] | None = None
    if settings.OFFLINE:
        config = {
            "version": kept().version,
            "files": kept().files,
            "pages": {code: reverse("offline", args=[code]) for code, _name in settings.LANGUAGES},
            "hashed": _is_hashed(),
        }
    source = render_to_string("offline/worker.js", {"config": json.dumps(config)})
    return HttpResponse(source, content_type="text/javascript; charset=utf-8")


@login_not_required
@require_safe
def offline(request: HttpRequest, language: str) -> HttpResponse:
    """Return the page for times without a connection. It is the same for everybody."""
    _require(language)
    return HttpResponse(_page(language, version=kept().version))


def kept() -> Kept:
    """Return what the service worker keeps; found once, unless static files may change."""
    return _kept_for_good() if _is_hashed() else _kept()


@cache
def _kept_for_good() -> Kept:
    return _kept()


def _kept() -> Kept:
    pages = [_page(code, version="") for code, _name in settings.LANGUAGES]
    prefix = re.escape(settings.STATIC_URL)
    found = re.findall(rf'(?:href|src)="({prefix}[^"#?]+)', "".join(pages))
    files: dict[str, None] = {}
    while found:
        url = found.pop(0)
        if url not in files:
            files[url] = None
            found += _imports(url)
    version = hashlib.sha256("\n".join([*pages, *files]).encode()).hexdigest()[:16]
    return Kept(tuple(files), version)


def _imports(url: str) -> list[str]:
    """Return the URLs of the modules that a script imports."""
    if not url.endswith(".js"):
        return []
    name = url.removeprefix(settings.STATIC_URL)
    found = str(Path(settings.STATIC_ROOT) / name) if _is_hashed() else finders.find(name)
    if not isinstance(found, str):
        return []
    folder = url.rpartition("/")[0]
    return [f"{folder}/{each[2:]}" for each in IMPORT.findall(Path(found).read_text())]


def _page(language: str, *, version: str) -> str:
    with override(language):
        # Dates of the day on which the page is kept would be wrong on every later one.
        form = ReadingForm(initial={"exam_date": None})
        context = {"form": form, "version": version, "max_bytes": settings.FILM_MAX_BYTES}
        return render_to_string("offline/page.html", context)


def _manifest(language: str) -> dict[str, Any]:
    icons = [
        {"src": static("img/icons/app.svg"), "sizes": "any", "type": "image/svg+xml"},
        *(_icon(f"app-{size}.png", size) for size in ICON_SIZES),
        *(_icon(f"maskable-{size}.png", size) | {"purpose": "maskable"} for size in ICON_SIZES),
    ]
    return {
        "id": "/",
        "name": _("xraysite: chest X-ray reading"),
        "short_name": "xraysite",
        "description": _("An open platform that supports doctors in reading chest X-rays."),
        "lang": language,
        "dir": "ltr",
        "start_url": reverse("home"),
        "scope": "/",
        "display": "standalone",
        "theme_color": THEME_COLOUR,
        "background_color": BACKGROUND,
        "icons": icons,
        "shortcuts": [
            {"name": _("Read an X-ray"), "url": reverse("readings:new")},
            {"name": _("Waiting X-rays"), "url": reverse("readings:waiting")},
        ],
    }


def _icon(name: str, size: int) -> dict[str, str]:
    return {"src": static(f"img/icons/{name}"), "sizes": f"{size}x{size}", "type": "image/png"}


def _is_hashed() -> bool:
    # The storage is a lazy object: its class is that of what it wraps.
    return isinstance(staticfiles_storage, ManifestFilesMixin)


def _require(language: str) -> None:
    if language not in dict(settings.LANGUAGES):
        raise Http404
