from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class XraysiteConfig(AppConfig):
    name = "xraysite"

    def ready(self) -> None:
        from xraysite import audit, checks, hooks  # noqa: F401 - checks register themselves

        audit.register()
        hooks.connect()


class OfficeAdminConfig(admin_apps.AdminConfig):
    """Django's admin, with the office as its first page."""

    default = False  # of this package, that is the one above
    default_site = "xraysite.office.OfficeSite"
