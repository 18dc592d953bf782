"""The stages of a sign-in that differ from allauth's."""

from allauth.mfa.stages import AuthenticateStage
from django.http import HttpRequest


class FactorStage(AuthenticateStage):
    """Asks for a second factor, unless the hospital's provider states that it has asked for one."""

    def _should_handle(self, request: HttpRequest) -> bool:
        sociallogin = (self.login.signal_kwargs or {}).get("sociallogin")
        claims = getattr(sociallogin, "claims", None)
        if claims is not None and claims.second_factor:
            return False
        return bool(super()._should_handle(request))
