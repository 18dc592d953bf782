"""Nothing of allauth's social accounts is in the admin: providers come from the environment, and
`accounts.admin.identities` connects accounts."""

from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.contrib import admin

admin.site.unregister([SocialAccount, SocialApp, SocialToken])
