"""The roles and their permissions.

A role is a Django group. A migration calls `install`, and so does every later migration that
changes a role's permissions.
"""

from typing import Any

from django.utils.translation import gettext_lazy as _

DOCTOR = "doctor"
SUPERVISOR = "supervisor"
ML_STAFF = "ml_staff"

NAMES = {
    DOCTOR: _("Doctor"),
    SUPERVISOR: _("Supervisor"),
    ML_STAFF: _("Machine-learning staff"),
}

# Shown beside names, most powerful first: an account with several roles shows one.
BADGES = (SUPERVISOR, ML_STAFF, DOCTOR)

# (app label, model, codename)
PERMISSIONS: dict[str, tuple[tuple[str, str, str], ...]] = {
    DOCTOR: (
        ("diagnosis", "reading", "add_reading"),
        ("diagnosis", "reading", "change_reading"),
        ("diagnosis", "reading", "delete_reading"),
        ("forum", "topic", "add_topic"),
        ("forum", "post", "add_post"),
        ("forum", "picture", "view_case"),
        ("mlcore", "modelversion", "view_modelversion"),
    ),
    SUPERVISOR: (
        ("diagnosis", "reading", "view_reading"),
        ("diagnosis", "reading", "oversee_reading"),
        ("forum", "topic", "add_topic"),
        ("forum", "post", "add_post"),
        ("forum", "post", "moderate_post"),
        ("forum", "picture", "view_case"),
        ("forum", "category", "view_category"),
        ("forum", "category", "add_category"),
        ("forum", "category", "change_category"),
        ("forum", "category", "delete_category"),
        ("forum", "report", "view_report"),
        ("accounts", "user", "view_user"),
        ("accounts", "user", "decide_user"),
        ("mlcore", "modelversion", "view_modelversion"),
        ("accounts", "auditentry", "view_auditentry"),
    ),
    # ML staff may post on the board but not see the X-rays of shared cases.
    ML_STAFF: (
        ("forum", "topic", "add_topic"),
        ("forum", "post", "add_post"),
        ("mlcore", "modelversion", "view_modelversion"),
        ("mlcore", "modelversion", "activate_modelversion"),
    ),
}

# Roles with access to the admin, limited to the permissions above.
IN_ADMIN = frozenset({SUPERVISOR, ML_STAFF})


def install(apps: Any) -> None:
    """Create the groups with exactly the permissions above; can be repeated.

    Args:
        apps: an app registry, historical (in a migration) or current.
    """
    group_model = apps.get_model("auth", "Group")
    permission_model = apps.get_model("auth", "Permission")
    content_type_model = apps.get_model("contenttypes", "ContentType")
    for role, wanted in PERMISSIONS.items():
        group, _new = group_model.objects.get_or_create(name=role)
        held = []
        for app_label, model, codename in wanted:
            content_type, _new = content_type_model.objects.get_or_create(
                app_label=app_label, model=model
            )
            # Django creates permissions only after the last migration has run.
            permission, _new = permission_model.objects.get_or_create(
                content_type=content_type,
                codename=codename,
                defaults={"name": f"Can {codename.replace('_', ' ')}"},
            )
            held.append(permission)
        group.permissions.set(held)
