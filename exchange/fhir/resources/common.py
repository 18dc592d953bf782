"""What all resources share: ids, versions, references, texts."""

import datetime
import hashlib
import json
from typing import Any, Final

from django.conf import settings
from django.utils import timezone, translation

from exchange.fhir.systems import AI_ASSERTED, TW_CORE

Resource = dict[str, Any]
LANGUAGES: Final = {"zh-hant": "zh-TW", "en": "en"}


def language() -> str:
    """Return the language of the resources' texts: the site's."""
    return LANGUAGES.get(settings.LANGUAGE_CODE, settings.LANGUAGE_CODE)


def in_site_language() -> Any:
    """Return a context in which texts are made, whoever asks for them."""
    return translation.override(settings.LANGUAGE_CODE)


def instant(when: datetime.datetime) -> str:
    """Return a FHIR instant in the site's time zone."""
    return timezone.localtime(when, timezone.get_default_timezone()).isoformat()


def reference(kind: str, key: str, display: str = "") -> dict[str, str]:
    """Return a relative reference."""
    found = {"reference": f"{kind}/{key}"}
    return found | {"display": display} if display else found


def finished(
    resource: Resource,
    *,
    profile: str = "",
    changed_at: datetime.datetime | None = None,
    by_model: bool = False,
) -> Resource:
    """Return the resource with its `meta`.

    Args:
        profile: the name of a TW Core profile that the resource conforms to.
        changed_at: when it was last changed.
        by_model: whether nobody but the model asserts what it says.
    """
    meta: dict[str, Any] = {"versionId": _version(resource)}
    if changed_at is not None:
        meta["lastUpdated"] = instant(changed_at)
    if profile:
        meta["profile"] = [f"{TW_CORE}{profile}"]
    if by_model:
        meta["security"] = [AI_ASSERTED]
    first = {name: resource[name] for name in ("resourceType", "id")}
    return first | {"meta": meta} | resource


def _version(resource: Resource) -> str:
    """Return a version that changes exactly when the content does."""
    text = json.dumps(resource, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
