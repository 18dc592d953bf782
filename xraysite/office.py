"""The first page of the admin."""

from django.contrib.admin import AdminSite


class OfficeSite(AdminSite):
    """Django's admin."""
