"""The address of the page for people about the API."""

from django.urls import path

from exchange.api.page import api_page

urlpatterns = [path("", api_page, name="api_page")]
