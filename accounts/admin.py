from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.utils.translation import gettext_lazy as _

from accounts import admin_audit  # noqa: F401 - registers the audit log
from accounts.models import User


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    """Accounts, without the name fields that Django's own admin expects."""

    list_display = ["email", "display_name", "hospital", "approval", "is_staff", "last_login"]
    list_filter = ["approval", "groups", "is_staff", "hospital"]
    search_fields = ["email", "display_name", "hospital", "licence_number"]
    ordering = ["email"]
    fieldsets = [
        (None, {"fields": ["email", "password"]}),
        (
            _("Person"),
            {"fields": ["display_name", "hospital", "department", "licence_number", "language"]},
        ),
        (_("Access"), {"fields": ["approval", "is_active", "is_staff", "is_superuser", "groups"]}),
        (_("Dates"), {"fields": ["last_login", "date_joined"]}),
    ]
    add_fieldsets = [
        (
            None,
            {
                "classes": ["wide"],
                "fields": ["email", "display_name", "usable_password", "password1", "password2"],
            },
        ),
    ]
    readonly_fields = ["last_login", "date_joined"]
    filter_horizontal = ["groups"]


admin.site.site_header = _("xraysite administration")
admin.site.site_title = _("xraysite")
admin.site.index_title = _("Oversight")
