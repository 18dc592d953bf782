"""The supervisors' admin of teams: who shares readings with whom."""

from typing import Any, cast

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts import roles
from accounts.models import User
from diagnosis.models import Team, TeamMembership
from diagnosis.services.teams import remove_member, save_member


class MembershipInline(admin.TabularInline):
    """The members of a team, chosen from the approved doctors."""

    model = TeamMembership
    extra = 1
    fields = ["user", "role", "joined_at"]
    readonly_fields = ["joined_at"]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("diagnosis.oversee_reading")

    has_add_permission = has_view_permission
    has_change_permission = has_view_permission
    has_delete_permission = has_view_permission

    def formfield_for_foreignkey(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        if db_field.name == "user":
            doctors = User.objects.filter(groups__name=roles.DOCTOR)
            kwargs["queryset"] = doctors.filter(approval=User.Approval.APPROVED).order_by(
                "display_name", "email"
            )
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None:
            # A table of forms labels its columns only.
            widget: Any = getattr(field.widget, "widget", field.widget)
            widget.attrs["aria-label"] = field.label
        return field


class TeamForm(forms.ModelForm):
    """A team; without a percentage, the random sample is as large as usual."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["second_percent"].required = False

    def clean_second_percent(self) -> int:
        given: int | None = self.cleaned_data["second_percent"]
        return given or Team._meta.get_field("second_percent").default


@admin.register(Team)
class TeamAdmin(admin.ModelAdmin):
    """Teams are created and renamed, never deleted: without members, nobody sees anything by it."""

    form = TeamForm
    inlines = [MembershipInline]
    list_display = ["title", "people", "blind_first", "second_reading", "created_at"]
    fields = ["name", "blind_first", "second_reading", "second_percent"]
    search_fields = ["name"]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("diagnosis.oversee_reading")

    has_module_permission = has_view_permission
    has_add_permission = has_view_permission
    has_change_permission = has_view_permission

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("members")

    @admin.display(description=_("team"), ordering="name")
    def title(self, team: Team) -> str:
        return team.name

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and db_field.name == "name":
            field.label = _("Team name")  # "name" alone is translated as that of a person
        return field

    @admin.display(description=_("members"))
    def people(self, team: Team) -> str:
        return ", ".join(sorted(str(member) for member in team.members.all())) or "–"

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        supervisor = cast(User, request.user)
        for membership in formset.save(commit=False):
            save_member(supervisor=supervisor, membership=membership)
        for membership in formset.deleted_objects:
            remove_member(supervisor=supervisor, membership=membership)
