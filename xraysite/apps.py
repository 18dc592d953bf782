from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps
from django.utils.translation import gettext_lazy as _
from django_tasks_db import apps as tasks_apps


class XraysiteConfig(AppConfig):
    name = "xraysite"

    def ready(self) -> None:
        from xraysite import audit, checks, deploy_checks, hooks, metrics, readiness  # noqa: F401
        from xraysite.common import private_files

        private_files.prepare()
        audit.register()
        hooks.connect()
        readiness.register()
        metrics.connect()


class TaskQueueConfig(tasks_apps.TasksAppConfig):
    """The queue in the database, under a name that supervisors understand."""

    default = False
    verbose_name = _("Background tasks")  # type: ignore[assignment]


class OfficeAdminConfig(admin_apps.AdminConfig):
    """Django's admin with the office as its start page."""

    default = False  # the app config above is the default
    default_site = "xraysite.office.OfficeSite"

    def ready(self) -> None:
        super().ready()
        from xraysite import task_admin

        task_admin.replace()  # after that of django-tasks
