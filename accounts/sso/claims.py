"""What a provider says about a person, in the words of this site."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError

from accounts.names import validate_display_name
from xraysite.common.sign_in_provider import SignInProvider

MAX_NAME = 80


@dataclass(frozen=True)
class Claims:
    """The statements of a provider about a person who signed in there.

    Attributes:
        email: the address; "" if the provider sent none.
        email_verified: whether the provider vouches that the address is the person's.
        name: the name as sent; "" if the provider sent none.
        groups: the provider's groups that the person is in.
        second_factor: whether the person passed a second factor at the provider.
    """

    email: str = ""
    email_verified: bool = False
    name: str = ""
    groups: tuple[str, ...] = ()
    second_factor: bool = False


def read(
    provider: SignInProvider, attributes: Mapping[str, Any], contexts: Iterable[str]
) -> Claims:
    """Return the claims in `attributes`.

    Args:
        provider: names the attributes.
        attributes: what the provider sent, by name; values may be lists.
        contexts: how the person signed in there: `acr`, `amr` or AuthnContext.
    """
    email = first(provider, attributes, "email").strip().lower()
    said = attributes.get("email_verified", attributes.get("emailVerified"))
    said = said[0] if isinstance(said, list) and said else said
    is_vouched = email.rpartition("@")[2] in provider.email_domains
    return Claims(
        email=email,
        email_verified=bool(email) and (is_vouched or str(said).lower() in {"true", "1"}),
        name=first(provider, attributes, "name").strip(),
        groups=tuple(values(provider, attributes, "groups")),
        second_factor=bool(provider.second_factor & set(contexts)),
    )


def values(provider: SignInProvider, attributes: Mapping[str, Any], what: str) -> list[str]:
    """Return the values of the first name of `what` that the provider sent."""
    for name in provider.names_of(what):
        found = _look_up(attributes, name)
        if found not in (None, "", []):
            each = found if isinstance(found, list | tuple) else [found]
            return [value for value in each if isinstance(value, str)]
    return []


def first(provider: SignInProvider, attributes: Mapping[str, Any], what: str) -> str:
    return next(iter(values(provider, attributes, what)), "")


def display_name(claims: Claims) -> str:
    """Return a name that this site accepts: the one sent, or the address before the @."""
    for name in (claims.name, claims.email.partition("@")[0]):
        name = " ".join(name.split())[:MAX_NAME]
        try:
            validate_display_name(name)
        except ValidationError:
            continue
        if name:
            return name
    return "–"


def _look_up(attributes: Mapping[str, Any], name: str) -> Any:
    """Return an attribute; a name with dots may be a path, such as `realm_access.roles`."""
    if name in attributes:
        return attributes[name]
    found: Any = attributes
    for part in name.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return found
