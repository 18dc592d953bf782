"""Models with their cards, the token itself, and whether the site can work."""

from typing import Any

from django.http import Http404, HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from ninja import Router, Status

from exchange.api.authentication import Token
from exchange.api.presenting import API
from exchange.api.schemas.others import HealthOut, ModelDetailOut, ModelOut, TokenOut
from mlcore.models import ModelVersion
from xraysite.common import readiness

router = Router(tags=[gettext_noop("Models and service")])
READ = Token("models:read")


def _model(version: ModelVersion) -> dict[str, Any]:
    return {
        "name": version.name,
        "bundle_sha256": version.bundle_sha256,
        "is_active": version.is_active,
        "created_at": version.created_at,
        "set_aside_reason": version.set_aside_reason,
        "url": f"{API}/models/{version.name}",
    }


@router.get(
    "/models",
    auth=READ,
    response=list[ModelOut],
    operation_id="list_models",
    summary=gettext_noop("List the models"),
)
def list_models(request: HttpRequest) -> list[dict[str, Any]]:
    """List the registered models, the active one first."""
    return [_model(version) for version in ModelVersion.objects.defer("card", "card_text")]


@router.get(
    "/models/{name}",
    auth=READ,
    response=ModelDetailOut,
    operation_id="get_model",
    summary=gettext_noop("Fetch a model's card"),
)
def get_model(request: HttpRequest, name: str) -> dict[str, Any]:
    """Return a model with its card, also of one that is not active any more."""
    version = ModelVersion.objects.filter(name=name).first()
    if version is None:
        raise Http404(_("This model does not exist."))
    return _model(version) | {"card": version.card}


@router.get(
    "/token",
    auth=Token(None),
    response=TokenOut,
    operation_id="get_token",
    summary=gettext_noop("Fetch what the token permits"),
)
def get_token(request: HttpRequest) -> dict[str, Any]:
    """Return name, account, scopes and expiry of the token that the request was sent with."""
    token: Any = request.auth  # type: ignore[attr-defined]
    return {
        "name": token.name,
        "account": token.owner.display_name,
        "scopes": token.scopes,
        "expires_at": token.expires_at,
    }


@router.get(
    "/health",
    auth=None,
    response={200: HealthOut, 503: HealthOut},
    operation_id="get_health",
    summary=gettext_noop("Ask whether readings are possible now"),
)
def get_health(request: HttpRequest) -> Any:
    """Return the outcome of each check, without details. Needs no token."""
    outcomes = readiness.outcomes()
    is_ready = all(outcome.is_ok for outcome in outcomes if outcome.is_vital)
    checks = {
        each.name: {"ok": each.is_ok, "why": None if each.is_ok else each.code} for each in outcomes
    }
    content = {"status": "ok" if is_ready else "unavailable", "checks": checks}
    return Status(200 if is_ready else 503, content)
