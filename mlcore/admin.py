from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from mlcore.models import ModelVersion


@admin.register(ModelVersion)
class ModelVersionAdmin(admin.ModelAdmin):
    """Which models this installation knows. They come and go by `manage.py` alone."""

    list_display = ["name", "is_active", "bundle_sha256", "created_at", "activated_at"]
    list_filter = ["is_active"]
    search_fields = ["name", "bundle_sha256"]
    fields = [
        "name",
        "is_active",
        "bundle_sha256",
        "path",
        "set_aside_reason",
        "created_at",
        "activated_at",
        "card",
    ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
