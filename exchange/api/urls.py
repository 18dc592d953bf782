"""The addresses of the API. Each is open to tokens only; `entry` states what goes wrong."""

import re
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.urls import URLPattern, re_path
from django.views.decorators.http import require_safe

from exchange.api.entry import entry, nothing_here
from exchange.api.interface import api

app_name = "api"
TAKE_ZIP_FILES = {"uploads", "batches-id-files"}


def upload_limit(name: str) -> int:
    """Return how many bytes a file of this name may have in a batch."""
    is_zip = name.lower().endswith(".zip")
    return int(settings.BATCH_MAX_ZIP_BYTES if is_zip else settings.FILM_MAX_BYTES)


def _wrapped() -> Iterator[URLPattern]:
    """Yield a pattern for each address, named after it: "readings-id-film"."""
    seen = set()
    endpoints, _app, _namespace = api.urls
    for pattern in endpoints:
        name = re.sub(r"<[^>]*>", "id", str(pattern.pattern)).replace("/", "-")
        if not isinstance(pattern, URLPattern) or not name or name in seen:
            continue
        seen.add(name)
        answer: Any = pattern.callback
        view: Any = entry(require_safe(answer) if name == "openapi.json" else answer)
        if name in TAKE_ZIP_FILES:
            view.upload_limit = upload_limit
        yield URLPattern(pattern.pattern, view, pattern.default_args, name)


urlpatterns = [*_wrapped(), re_path(r"^.*$", entry(nothing_here), name="nothing")]
