"""Addresses of the FHIR service."""

from django.urls import path, re_path

from exchange.fhir import views

app_name = "fhir"

# Ids of FHIR: letters, digits, hyphens and dots.
_KIND, _KEY = r"(?P<kind>[A-Za-z]{1,64})", r"(?P<key>[A-Za-z0-9.-]{1,64})"

urlpatterns = [
    path("metadata", views.metadata, name="metadata"),
    re_path(rf"^Binary/{_KEY}$", views.document, name="document"),
    re_path(rf"^{_KIND}/_search$", views.post_search, name="post_search"),
    re_path(rf"^{_KIND}/{_KEY}$", views.read, name="read"),
    re_path(rf"^{_KIND}$", views.search, name="search"),
]
