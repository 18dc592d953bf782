from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class BackgroundConfig(AppConfig):
    name = "xraysite.common.background"
    label = "background"
    verbose_name = _("Background tasks")

    def ready(self) -> None:
        from xraysite.common.background import mail_tasks  # noqa: F401 - registers the task
