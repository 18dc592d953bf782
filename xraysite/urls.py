from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.urls import include, path
from django.views.i18n import set_language

from diagnosis.admin.access_log import access_log_view
from xraysite import installable, views

# The admin uses the site's sign-in page, so that all sign-ins share one rate limit and audit log.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

handler500 = views.server_error
# allauth's name for the view that answers attempts beyond a rate limit.
handler429 = "accounts.views.refused.too_many_attempts"

urlpatterns = [
    path("", views.home, name="home"),
    path("about/", views.about, name="about"),
    path("about/api/", include("exchange.api.page_urls")),
    path("favicon.ico", views.favicon, name="favicon"),
    path("manifest/<str:language>/", installable.manifest, name="manifest"),
    # At the root, because a service worker sees only pages below its own address.
    path("service-worker.js", installable.worker, name="service_worker"),
    path("offline/<str:language>/", installable.offline, name="offline"),
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("metrics", views.metrics, name="metrics"),
    path("i18n/set/", login_not_required(set_language), name="set_language"),
    path("accounts/", include("accounts.urls")),
    path("accounts/", include("allauth.account.urls")),
    path("accounts/2fa/", include("allauth.mfa.urls")),
    path("accounts/sso/", include("accounts.sso.urls")),
    path("accounts/sessions/", include("allauth.usersessions.urls")),
    path("readings/", include("diagnosis.urls")),
    path("exchange/", include("exchange.outgoing.urls")),
    path("fhir/", include("exchange.fhir.urls")),
    path("patients/", include("diagnosis.patient_urls")),
    path("orders/", include("exchange.orders.urls")),
    path("forum/", include("forum.urls")),
    path("dicomweb/", include("exchange.dicomweb.urls")),
    path("models/", include("mlcore.urls")),
    path("api/v1/", include("exchange.api.urls")),
    path("admin/who-saw/", admin.site.admin_view(access_log_view), name="who_saw"),
    path("admin/", admin.site.urls),
]
