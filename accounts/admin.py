from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from accounts import admin_audit, admin_users  # noqa: F401 - both register their pages

admin.site.site_header = _("xraysite administration")
admin.site.site_title = _("xraysite")
admin.site.index_title = _("Oversight")
