import allauth.account.admin
import allauth.mfa.admin
import allauth.usersessions.admin  # noqa: F401
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.contrib.auth.models import Group
from django.utils.translation import gettext_lazy as _

import accounts.admin.users
import accounts.audit.admin  # noqa: F401 - registers the audit log

# Roles are groups, and what a role may do comes with the program (`accounts.roles`).
admin.site.unregister(Group)
# Addresses are shown with their account. The others show what signs in as somebody else: the
# secret of an authenticator app, the key of a session.
admin.site.unregister([EmailAddress, Authenticator, UserSession])

admin.site.site_header = _("xraysite administration")
admin.site.site_title = _("xraysite")
admin.site.index_title = _("Oversight")
