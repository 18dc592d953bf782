"""Storing an uploaded X-ray once per idempotency key, by the form and services of the pages."""

import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, QueryDict
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from accounts import account_limits
from accounts.models import User
from diagnosis.forms.readings import REFUSED, ReadingForm
from diagnosis.models import Reading
from diagnosis.readiness import unavailable_text
from diagnosis.services import quotas
from diagnosis.services.conflicts import NOTHING_DECIDED, Conflicts, Decisions, UndecidedError
from diagnosis.services.films import has_film
from diagnosis.services.patients import FIELDS
from diagnosis.services.readings import SubmissionTakenError, submit_reading
from diagnosis.validators import NOT_NOW, refusal_to_store
from exchange.api.conflicts import conflict, decided
from exchange.api.models import UploadKey
from exchange.api.problems import RETRY_S, Problem, of_form
from exchange.api.schemas.readings import DecisionsIn
from mlcore.inference import ModelUnavailable

MAX_KEY = 200
_NAMESPACE = uuid.UUID("6f3a1f0e-6a0c-5a52-9a6b-0b6c8c9d2f10")
_SENT = (*FIELDS, "team")


def store_upload(request: HttpRequest, user: User) -> tuple[uuid.UUID, bool]:
    """Store the X-ray of a multipart request.

    Returns:
        The id of its reading, and whether it is new.

    Raises:
        Problem: nothing was stored.
    """
    film = _only_film(request)
    content = _content_of(request.POST, film)
    key = _key_of(request, user, content)
    if _is_repeated(user, key, content):
        return key, False
    claimed = _claim(key, content)
    try:
        made_before = Reading.objects.own_of(user).filter(pk=key).exists()
        _submit(request, user, key)
    except BaseException:
        if claimed:
            _release(user, key)
        raise
    _claim(key, content)  # another request with this key may have failed meanwhile
    return key, not made_before


def _only_film(request: HttpRequest) -> UploadedFile | None:
    files = [file for name in request.FILES for file in request.FILES.getlist(name)]
    return files[0] if len(files) == 1 and "film" in request.FILES else None


def _content_of(fields: Mapping[str, str], film: UploadedFile | None) -> str:
    """Return a keyed hash of what was sent, without decisions: these follow a conflict."""
    digest = hashlib.sha256()
    if film is not None:
        for chunk in film.chunks():
            digest.update(chunk)
        film.seek(0)
    stated = [digest.hexdigest(), *(fields.get(name, "").strip() for name in _SENT)]
    return salted_hmac("exchange.api.uploads", json.dumps(stated), algorithm="sha256").hexdigest()


def _key_of(request: HttpRequest, user: User, content: str) -> uuid.UUID:
    """Return the id of the reading that the request's key stands for."""
    sent = request.headers.get("Idempotency-Key", "").strip()
    if len(sent) > MAX_KEY:
        raise Problem(
            422,
            "invalid",
            _("“Idempotency-Key” has at most %(limit)d characters.") % {"limit": MAX_KEY},
            errors=[{"field": "Idempotency-Key", "detail": _("It is too long.")}],
        )
    return uuid.uuid5(_NAMESPACE, f"{user.pk}:{'key' if sent else 'content'}:{sent or content}")


def _is_repeated(user: User, key: uuid.UUID, content: str) -> bool:
    """Return whether this very upload has been stored, without decoding its film again."""
    known = UploadKey.objects.filter(pk=key).first()
    if known is not None and known.content != content:
        raise _other_content()
    made = Reading.objects.own_of(user).filter(pk=key).defer("activation_map").first()
    return known is not None and made is not None and has_film(made)


def _claim(key: uuid.UUID, content: str) -> bool:
    """Note what the key stands for; return whether nobody had."""
    row, is_new = UploadKey.objects.get_or_create(pk=key, defaults={"content": content})
    if row.content != content:
        raise _other_content()
    return is_new


def _release(user: User, key: uuid.UUID) -> None:
    """Forget a key under which nothing was stored, so that it can be sent with corrected data."""
    if not Reading.objects.known_to(user).filter(pk=key).exists():
        UploadKey.objects.filter(pk=key).delete()


def _other_content() -> Problem:
    return Problem(
        409,
        "idempotency-key-reused",
        _("This Idempotency-Key was sent with another X-ray or other data. Use a new key."),
    )


def _submit(request: HttpRequest, user: User, key: uuid.UUID) -> None:
    form = _form(request, user, key)
    if not form.is_valid():
        raise _refusal(form)
    sent = sent_decisions(request.POST.get("decisions", ""))
    try:
        _submit_decided(form, user, key, sent)
    except SubmissionTakenError:
        if Reading.objects.own_of(user).filter(pk=key).exists():
            raise _other_content() from None
        text = _("The reading that this upload made was deleted. Use a new Idempotency-Key.")
        raise Problem(409, "reading-deleted", text) from None
    except ModelUnavailable as error:
        raise unavailable(error) from None
    except OSError as error:
        text = " ".join(map(str, refusal_to_store(error).messages))
        raise Problem(503, "storage", text, headers={"Retry-After": str(RETRY_S)}) from error


def unavailable(error: ModelUnavailable) -> Problem:
    """Return the problem that no reading can be made now."""
    retry = {"Retry-After": str(RETRY_S)}
    return Problem(503, "model-unavailable", unavailable_text(error.code), headers=retry)


def _form(request: HttpRequest, user: User, key: uuid.UUID) -> ReadingForm:
    data = QueryDict(mutable=True)
    for name in _SENT:
        data[name] = request.POST.get(name, "")
    data["submission"] = str(key)
    take_upload(user)
    return ReadingForm(data, request.FILES, meta=request.META, doctor=user)


def take_upload(user: User) -> None:
    """Count an upload of the account.

    Raises:
        Problem: it may upload none now.
    """
    try:
        quotas.require_space(user)
        account_limits.take(account_limits.UPLOAD, user)
    except quotas.QuotaError as error:
        raise Problem(403, "quota", str(error)) from None
    except account_limits.TooManyError as error:
        raise too_many(error) from None


def too_many(error: account_limits.TooManyError) -> Problem:
    """Return the problem that the account has to wait."""
    wait = {"Retry-After": str(max(1, round(error.seconds)))}
    return Problem(429, "too-many-requests", str(error), headers=wait)


def _refusal(form: ReadingForm) -> Problem:
    if form.has_error("film", REFUSED) or any(form.has_error("film", code) for code in NOT_NOW):
        text = " ".join(map(str, form.errors["film"]))
        return Problem(503, "busy", text, headers={"Retry-After": str(RETRY_S)})
    if form.has_error("film", "too_large"):
        limit = settings.FILM_MAX_BYTES
        return Problem(413, "too-large", " ".join(map(str, form.errors["film"])), limit=limit)
    return of_form(form)


def sent_decisions(text: str) -> DecisionsIn | None:
    """Return the decisions of a multipart form.

    Raises:
        Problem: they are no JSON of this kind.
    """
    if not text.strip():
        return None
    try:
        return DecisionsIn.model_validate_json(text)
    except ValueError:
        detail = _("“decisions” is not valid JSON of the documented kind.")
        raise Problem(
            422, "invalid", detail, errors=[{"field": "decisions", "detail": detail}]
        ) from None


def _submit_decided(
    form: ReadingForm, user: User, key: uuid.UUID, sent: DecisionsIn | None
) -> None:
    def submit(decisions: Decisions = NOTHING_DECIDED) -> None:
        submit_reading(
            doctor=user,
            upload=form.cleaned_data["film"],
            patient=form.patient_details(),
            submission=key,
            decisions=decisions,
            team=form.chosen_team(),
        )

    with_decisions(submit, sent, form.entered())


def with_decisions(act: Any, sent: DecisionsIn | None, entered: dict[str, str]) -> Any:
    """Do something that may have to be decided first, with the decisions that were sent.

    Args:
        act: takes `Decisions`; raises `UndecidedError`.
        sent: the decisions, None without any.
        entered: the patient's details as text by field.

    Raises:
        Problem: something is undecided; it states both sides.
    """
    try:
        try:
            return act()
        except UndecidedError as error:
            if sent is None:
                raise
            return act(decided(error.conflicts, sent, entered))
    except UndecidedError as error:
        found: Conflicts = error.conflicts
        raise conflict(found) from None
    except ValidationError as error:
        raise Problem(422, "invalid", " ".join(map(str, error.messages)), errors=[]) from None
