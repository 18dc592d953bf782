"""Every URL pattern of the site, with a URL for each."""

from collections.abc import Iterator

from django.contrib.contenttypes.models import ContentType
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from accounts.models import User
from diagnosis.models import Reading
from exchange import uids
from tests import batches, board


def named_patterns(
    resolver: URLResolver | None = None, namespace: str = ""
) -> Iterator[tuple[str, URLPattern]]:
    """Yield the name and the pattern of every URL of the site."""
    for pattern in (resolver or get_resolver()).url_patterns:
        if isinstance(pattern, URLResolver):
            inner = f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace
            yield from named_patterns(pattern, inner)
        elif isinstance(pattern, URLPattern):
            yield f"{namespace}{pattern.name}", pattern


ABOUT_NO_READING = {
    "readings:list", "readings:new", "readings:inspect", "readings:changes", "readings:bulk",
    "readings:tags", "readings:views", "readings:reports", "readings:waiting",
    "readings:offline_key", "readings:offline_open", "readings:statistics", "readings:teams",
}  # fmt: skip


def address_of(name: str, reading: Reading) -> str:
    """Return the URL of a page outside the admin, for `reading` if it shows a reading."""
    if name in ABOUT_NO_READING:
        return reverse(name)
    if name.startswith("api:"):
        parts = name.removeprefix("api:").split("-")
        key = reading.model_name if parts[0] == "models" else str(reading.pk)
        return "/".join(["/api/v1", *(key if part == "id" else part for part in parts)])
    if name in {"readings:tag", "readings:view", "readings:bulk_undo"}:
        return reverse(name, args=[9999])
    if name in {"manifest", "offline"}:
        return reverse(name, args=["en"])
    if name == "patients:detail":
        return reverse(name, args=[reading.study.patient_id if reading.study else reading.pk])
    if name == "readings:step":
        return reverse(name, args=[reading.pk, "next"])
    if (name.startswith("readings:") and "batch" in name) or name == "readings:inbox":
        return batches.address_of(name, reading.doctor)
    if name == "readings:withdraw":
        return reverse(name, args=[reading.pk, reading.pk])
    if name.startswith(("readings:", "outgoing:")):
        return reverse(name, args=[reading.pk])
    if name.startswith("fhir:"):
        kinds = {"fhir:search": ["Patient"], "fhir:post_search": ["Patient"]}
        kinds |= {"fhir:read": ["ImagingStudy", reading.pk], "fhir:document": [reading.pk]}
        return reverse(name, args=kinds.get(name, []))
    if name.startswith("forum:"):
        return board.address_of(name)
    if name in {"models:detail", "models:transparency"}:
        return reverse(name, args=[reading.model_name])
    if name == "models:plot":
        return reverse(name, args=[reading.model_name, "roc.png"])
    if name in {"orders:detail", "orders:edit", "orders:cancel", "orders:reopen"}:
        return reverse(name, args=[reading.pk])  # of no order
    if name == "orders:unlink_film":
        return reverse(name, args=[reading.pk, 9999])
    if name == "account_confirm_email":
        return reverse(name, args=["not-a-key"])
    if name in {
        "mfa_edit_webauthn",
        "mfa_remove_webauthn",
        "accounts:end_session",
        "accounts:revoke_token",
    }:
        return reverse(name, args=[9999])
    if name.startswith("dicomweb:"):
        return dicomweb_address(name, reading)
    if name == "accounts:avatar":
        return reverse(name, args=[reading.doctor_id])
    if name == "account_reset_password_from_key":
        return reverse(name, kwargs={"uidb36": "1", "key": "not-a-key"})
    if name.startswith("saml_"):
        return reverse(name, args=["hospital"])
    return reverse(name)


def dicomweb_address(name: str, reading: Reading) -> str:
    """Return the address of DICOMweb for the film of a reading."""
    parts = {
        "study": uids.study_uid(reading),
        "series": uids.series_uid(reading),
        "instance": uids.instance_uid(reading),
        "frames": "1",
        "path": "7FE00010",
    }
    known = dict(named_patterns())[name].pattern.converters
    return reverse(name, kwargs={part: parts[part] for part in known})


def admin_address(name: str, pattern: URLPattern, reading: Reading, person: User) -> str:
    """Return the URL of an admin page for `reading`, its model, or the account `person`.

    Args:
        name: name of the URL, without its namespace.
    """
    objects = {
        "reading": reading.pk,
        "user": person.pk,
        "modelversion": reading.model_version_id,
        "dbtaskresult": reading.pk,  # a UUID, of no task
    }
    content_type = ContentType.objects.get_for_model(Reading)
    model = name.split("_")[-2] if name.count("_") >= 2 else ""
    wanted = {"object_id": objects.get(model, 1), "app_label": "diagnosis"}
    wanted |= {"content_type_id": content_type.pk, "url": "nothing/", "id": 1, "pk": reading.pk}
    wanted["operation"] = 1
    if name == "view_on_site":
        wanted["object_id"] = reading.pk
    keys = list(pattern.pattern.converters) or list(pattern.pattern.regex.groupindex)
    return reverse(f"admin:{name}", kwargs={key: wanted.get(key, reading.pk) for key in keys})
