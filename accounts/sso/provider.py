"""allauth's providers with this site's checks; allauth loads this module by its name.

Both read `Claims` from what they are sent, and store none of it.
"""

import hashlib
from typing import Any

import jwt
import requests
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.models import SocialLogin
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from allauth.socialaccount.providers.saml.provider import SAMLProvider
from django.http import HttpRequest
from django.urls import reverse

from accounts.sso import claims, config

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
              "EdDSA"]  # fmt: skip
# How far the clocks of the two servers may differ, in seconds.
LEEWAY_S = 60
MAX_UID = 191
TRANSIENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"


class ProblemError(OAuth2Error):
    """Raised for an answer that signs nobody in.

    Args:
        code: a key of `accounts.sso.problems.PROBLEMS`.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class HospitalOIDCAdapter(OpenIDConnectOAuth2Adapter):
    """Verifies the ID token's signature, issuer, audience and times, and whom user info is about.

    allauth does not check the signature of a token that it fetched itself.
    """

    @property
    def openid_config(self) -> dict[str, Any]:
        found: dict[str, Any] = super().openid_config
        if str(found.get("issuer", "")).rstrip("/") != config.required().issuer.rstrip("/"):
            raise ProblemError("audience")
        return found

    def get_callback_url(self, request: HttpRequest, app: Any) -> str:
        return request.build_absolute_uri(reverse("openid_connect_callback"))

    def complete_login(self, request: HttpRequest, app: Any, token: Any, **kwargs: Any) -> Any:
        id_token = self._decode_id_token(app, kwargs["response"].get("id_token") or "")
        data: dict[str, Any] = {"id_token": id_token}
        if self.openid_config.get("userinfo_endpoint"):
            data["userinfo"] = self._fetch_user_info(token.token)
            if data["userinfo"].get("sub") != id_token["sub"]:
                raise ProblemError("invalid")
        return self.get_provider().sociallogin_from_response(request, data)

    def _decode_id_token(self, app: Any, id_token: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = jwt.decode(
                id_token,
                key=self._key_of(id_token),
                algorithms=ALGORITHMS,
                audience=app.client_id,
                issuer=self.openid_config["issuer"],
                leeway=LEEWAY_S,
                options={"require": ["iss", "sub", "aud", "exp", "iat"]},
            )
        except (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError) as error:
            raise ProblemError("clock") from error
        except (jwt.InvalidAudienceError, jwt.InvalidIssuerError) as error:
            raise ProblemError("audience") from error
        except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError, jwt.PyJWKError) as error:
            raise ProblemError("signature") from error
        except jwt.PyJWTError as error:
            raise ProblemError("invalid") from error
        if isinstance(found["aud"], list) and found.get("azp", app.client_id) != app.client_id:
            raise ProblemError("audience")
        return found

    def _key_of(self, id_token: str) -> Any:
        """Return the provider's key with which the token says it is signed."""
        wanted = jwt.get_unverified_header(id_token).get("kid")
        with get_adapter().get_requests_session() as session:
            response = session.get(self.openid_config["jwks_uri"])
            response.raise_for_status()
        keys = jwt.PyJWKSet.from_dict(response.json()).keys
        found = [key for key in keys if key.key_id == wanted or (wanted is None and len(keys) == 1)]
        if not found:
            raise ProblemError("signature")
        return found[0]


class HospitalOIDC(OpenIDConnectProvider):
    """OpenID Connect with the provider of `settings.SSO`."""

    oauth2_adapter_class = HospitalOIDCAdapter

    @property
    def sub_id(self) -> str:
        return config.key_of(config.required())

    def get_oauth2_adapter(self, request: HttpRequest) -> HospitalOIDCAdapter:
        return HospitalOIDCAdapter(request, self.app.provider_id)

    def get_login_url(self, request: HttpRequest, **kwargs: Any) -> str:
        return reverse("openid_connect_login")

    def get_callback_url(self) -> str:
        return reverse("openid_connect_callback")

    def get_redirect_from_request_kwargs(self, request: HttpRequest) -> dict[str, Any]:
        """Leave out what allauth would take from the URL: scopes and parameters of its sender."""
        kwargs: dict[str, Any] = super().get_redirect_from_request_kwargs(request)
        return kwargs | {"process": "login", "scope": self.get_scope(), "auth_params": {}}

    def get_auth_params(self) -> dict[str, str]:
        return {}

    def extract_uid(self, data: dict[str, Any]) -> str:
        attributes = _merged(data)
        return _stable(claims.first(config.required(), attributes, "id"))

    def extract_extra_data(self, data: dict[str, Any]) -> dict[str, Any]:
        return {}

    def extract_common_fields(self, data: dict[str, Any]) -> dict[str, Any]:
        return _common(self._claims(data))

    def extract_email_addresses(self, data: dict[str, Any]) -> list[Any]:
        return []

    def sociallogin_from_response(self, request: HttpRequest, response: Any) -> SocialLogin:
        login: SocialLogin = super().sociallogin_from_response(request, response)
        login.claims = self._claims(response)
        return login

    def _claims(self, data: dict[str, Any]) -> claims.Claims:
        said = data["id_token"]
        methods = said.get("amr") or []
        contexts = [*(methods if isinstance(methods, list) else [methods]), said.get("acr")]
        return claims.read(
            config.required(), _merged(data), [each for each in contexts if isinstance(each, str)]
        )


class HospitalSAML(SAMLProvider):
    """SAML with the provider of `settings.SSO`."""

    @property
    def sub_id(self) -> str:
        return config.key_of(config.required())

    def get_redirect_from_request_kwargs(self, request: HttpRequest) -> dict[str, Any]:
        kwargs: dict[str, Any] = super().get_redirect_from_request_kwargs(request)
        return kwargs | {"process": "login"}

    def get_login_url(self, request: HttpRequest, **kwargs: Any) -> str:
        return reverse("saml_login", kwargs={"organization_slug": self.app.client_id})

    def extract_uid(self, data: Any) -> str:
        uid = claims.first(config.required(), data.get_attributes(), "id")
        if not uid and data.get_nameid_format() != TRANSIENT:
            uid = data.get_nameid() or ""
        return _stable(uid)

    def extract_extra_data(self, data: Any) -> dict[str, Any]:
        return {}

    def extract_common_fields(self, data: Any) -> dict[str, Any]:
        return _common(self._claims(data))

    def sociallogin_from_response(self, request: HttpRequest, response: Any) -> SocialLogin:
        login: SocialLogin = super().sociallogin_from_response(request, response)
        login.claims = self._claims(response)
        return login

    def _claims(self, data: Any) -> claims.Claims:
        contexts = data.get_last_authn_contexts() or []
        return claims.read(config.required(), data.get_attributes(), contexts)


def _merged(data: dict[str, Any]) -> dict[str, Any]:
    return {**data["id_token"], **data.get("userinfo", {})}


def _common(found: claims.Claims) -> dict[str, Any]:
    return {"email": found.email, "email_verified": found.email_verified}


def _stable(uid: str) -> str:
    if not uid:
        raise ProblemError("no-identifier")
    return uid if len(uid) <= MAX_UID else f"sha256:{hashlib.sha256(uid.encode()).hexdigest()}"


# What providers that do not respond, or respond with an error, raise.
UNREACHABLE = (requests.RequestException, OSError)
provider_classes = [HospitalOIDC, HospitalSAML]
