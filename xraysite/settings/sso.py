"""Sign-in with the hospital's account; off unless the environment names a provider."""

from xraysite.common import sign_in_provider

SSO = sign_in_provider.from_environment()
SSO_ORIGINS = list(SSO.origins) if SSO else []

SOCIALACCOUNT_ADAPTER = "accounts.sso.adapter.SocialAdapter"
SOCIALACCOUNT_STORE_TOKENS = False
# A page of another site must not be able to sign a browser in.
SOCIALACCOUNT_LOGIN_ON_GET = False
SOCIALACCOUNT_EMAIL_AUTHENTICATION = False
SOCIALACCOUNT_QUERY_EMAIL = True
SOCIALACCOUNT_REQUESTS_TIMEOUT = 5
