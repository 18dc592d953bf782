from django.contrib import admin
from django.contrib.auth.models import Group
from django.utils.translation import gettext_lazy as _

from accounts import admin_audit, admin_users  # noqa: F401 - both register their pages

# Roles are groups, and what a role may do comes with the program (`accounts.roles`).
admin.site.unregister(Group)

admin.site.site_header = _("xraysite administration")
admin.site.site_title = _("xraysite")
admin.site.index_title = _("Oversight")
