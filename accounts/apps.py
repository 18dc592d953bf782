from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = _("Accounts")

    def ready(self) -> None:
        from accounts import audit_events, signals
        from accounts.audit import planner
        from xraysite.common.planner import store_after_migrations

        audit_events.register()
        signals.connect()
        store_after_migrations(self, planner.ENTRIES, planner.MENTIONS)
