"""Addresses of the sign-in with the hospital's account, under the names that allauth looks up."""

from django.urls import path

from accounts.sso import views

urlpatterns = [
    path("oidc/login/", views.oidc_login, name="openid_connect_login"),
    path("oidc/callback/", views.oidc_callback, name="openid_connect_callback"),
    path("saml/<slug:organization_slug>/login/", views.saml_login, name="saml_login"),
    path("saml/<slug:organization_slug>/acs/", views.saml_acs, name="saml_acs"),
    path("saml/<slug:organization_slug>/finish/", views.saml_finish, name="saml_finish_acs"),
    path("saml/<slug:organization_slug>/metadata/", views.saml_metadata, name="saml_metadata"),
    # allauth names it in what it sends to providers; nobody signs out by it.
    path("saml/<slug:organization_slug>/sls/", views.unused, name="saml_sls"),
]
