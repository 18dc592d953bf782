import allauth.account.admin
import allauth.mfa.admin
import allauth.usersessions.admin  # noqa: F401
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.contrib.auth.models import Group
from django.utils.translation import gettext_lazy as _

import accounts.admin.tokens
import accounts.admin.users
import accounts.audit.admin  # noqa: F401 - registers the audit log

# Roles are groups whose permissions are defined in `accounts.roles`, not in the admin.
admin.site.unregister(Group)
# Addresses are shown with their account. The other two contain what is needed to sign in as
# somebody else: the secret of an authenticator app, the key of a session.
admin.site.unregister([EmailAddress, Authenticator, UserSession])

admin.site.site_header = _("xraysite administration")
admin.site.site_title = _("xraysite")
admin.site.index_title = _("Oversight")
