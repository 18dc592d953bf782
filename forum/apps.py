from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ForumConfig(AppConfig):
    name = "forum"
    verbose_name = _("Discussion board")

    def ready(self) -> None:
        from forum import audit, mail_tasks

        audit.register()
        mail_tasks.connect()
