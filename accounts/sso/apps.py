from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SsoConfig(AppConfig):
    name = "accounts.sso"
    label = "sso"
    verbose_name = _("Sign-in with the hospital's account")

    def ready(self) -> None:
        from accounts.sso import audit

        audit.register()
