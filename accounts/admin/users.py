"""Accounts in the admin: supervisors view and decide, superusers also edit."""

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils.translation import gettext_lazy as _

from accounts import mails, roles, services
from accounts.admin import decisions, identities
from accounts.audit.recording import event
from accounts.models import User
from xraysite.common.admin import PrivateSearchChangeList, PrivateSearchMixin
from xraysite.common.paging import BoundedPaginator


class StateFilter(admin.SimpleListFilter):
    """Filters by the state of the account."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("waiting", _("Pending approval")),
            ("unverified", _("Email address not verified")),
            ("approved", _("Approved")),
            ("rejected", _("Rejected")),
            ("suspended", _("Suspended")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        state = self.value()
        if state is None:
            return queryset
        waiting = User.objects.waiting().order_by().values("pk")
        if state == "waiting":
            return queryset.filter(pk__in=waiting)
        if state == "unverified":
            return queryset.filter(approval=User.Approval.PENDING).exclude(pk__in=waiting)
        return queryset.filter(approval=state.upper())


class RoleFilter(admin.SimpleListFilter):
    """Filters by the role of the account."""

    title = _("role")
    parameter_name = "role"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [*roles.NAMES.items(), ("superuser", _("Superuser")), ("none", _("none"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        role = self.value()
        if role == "superuser":
            return queryset.filter(is_superuser=True)
        if role == "none":
            return queryset.filter(is_superuser=False).exclude(groups__name__in=roles.NAMES)
        return queryset.filter(groups__name=role) if role in roles.NAMES else queryset


class AddAccountForm(AdminUserCreationForm):
    """Creates an approved account; the creator vouches for the person."""

    role = forms.ChoiceField(label=_("Role"), choices=list(roles.NAMES.items()))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["usable_password"].help_text = _(
            "Without a password, the account holder sets one with “Forgot your password?”."
        )


@admin.register(User)
class UserAdmin(PrivateSearchMixin, DjangoUserAdmin):
    """Accounts with their state, and buttons to decide on them."""

    add_form = AddAccountForm
    list_display = [
        "display_name", "email", "hospital", "department", "state", "held_role",
        "date_joined", "last_login",
    ]  # fmt: skip
    list_filter = [StateFilter, RoleFilter]
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False
    paginator = BoundedPaginator
    list_per_page = 50
    actions = None
    search_fields = ["email", "display_name", "hospital", "licence_number"]
    ordering = ()  # see get_ordering
    standing = (
        _("Account state"),
        {
            "fields": [
                "state", "held_role", "address_verified", "approval_reason", "approval_decided_by",
                "approval_decided_at",
            ]
        },
    )  # fmt: skip
    person = (
        _("Personal details"),
        {
            "fields": [
                "display_name", "email", "hospital", "department", "licence_number", "language",
            ]
        },
    )  # fmt: skip
    dates = (_("Dates"), {"fields": ["date_joined", "last_login"]})
    access = (_("Access"), {"fields": ["password", "is_active", "is_superuser"]})
    add_fieldsets = [
        (
            None,
            {
                "classes": ["wide"],
                "fields": [
                    "email", "display_name", "hospital", "department", "licence_number", "role",
                    "usable_password", "password1", "password2",
                ],
            },
        ),
    ]  # fmt: skip
    readonly_fields = [
        "state", "held_role", "address_verified", "approval_reason", "approval_decided_by",
        "approval_decided_at", "last_login", "date_joined",
    ]  # fmt: skip
    filter_horizontal = []

    def get_urls(self) -> list[URLPattern]:
        return [*decisions.urls(self), *identities.urls(self), *super().get_urls()]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: accounts are suspended, not deleted, because records refer to them."""
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups", "emailaddress_set")

    def get_ordering(self, request: HttpRequest) -> Any:
        waiting = request.GET.get(StateFilter.parameter_name) == "waiting"
        return ["date_joined", "pk"] if waiting else ["email"]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return AccountList

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Leave the password and other access fields to those who may edit accounts."""
        if obj is None:
            return super().get_fieldsets(request, obj)
        shown = [self.standing, self.person, self.dates]
        return [*shown, self.access] if self.has_change_permission(request, obj) else shown

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        user = self.get_object(request, object_id)
        acts: list[dict[str, Any]] = []
        if user is not None:
            acts = decisions.buttons(request.user, user) + identities.buttons(request.user, user)
        return super().change_view(
            request, object_id, form_url, {**(extra_context or {}), "acts": acts}
        )

    @transaction.atomic
    def user_change_password(
        self, request: HttpRequest, id: str, form_url: str = ""
    ) -> HttpResponse:
        """Set a password; if it is somebody else's, record that and tell the owner."""
        before = _password_hash(id)
        is_own = str(request.user.pk) == id
        with event("password-changed" if is_own else "password-set"):
            response = super().user_change_password(request, id, form_url)
        if not is_own and _password_hash(id) != before:
            mails.when_committed(partial(_tell_owner, request, id))
        return response

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        obj.email = obj.email.lower()
        if not change:
            by: Any = request.user
            services.admit(by=by, user=obj, role=form.cleaned_data["role"])
            return
        obj.is_staff = obj.is_superuser or bool(roles.IN_ADMIN & {*services.roles_of(obj)})
        super().save_model(request, obj, form, change)
        if "is_active" in form.changed_data and not obj.is_active:
            editor: Any = request.user
            services.end_access(by=editor, user=obj)
        if "email" in form.changed_data:
            services.vouch_for_new_address(user=obj)

    @admin.display(description=_("State"), ordering="approval")
    def state(self, user: User) -> str:
        if user.approval == User.Approval.PENDING and not _is_verified(user):
            return str(_("Email address not verified"))
        return str(user.get_approval_display())

    @admin.display(description=_("Role"))
    def held_role(self, user: User) -> str:
        held = [str(roles.NAMES.get(group.name, group.name)) for group in user.groups.all()]
        return ", ".join([str(_("Superuser"))] * user.is_superuser + held) or "–"

    @admin.display(description=_("Email address verified"), boolean=True)
    def address_verified(self, user: User) -> bool:
        return _is_verified(user)


class AccountList(PrivateSearchChangeList):
    """Gives the review queue its own title."""

    title: Any

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        if request.GET.get(StateFilter.parameter_name) == "waiting":
            self.title = _("Accounts pending approval")


def _password_hash(key: str) -> str | None:
    found = User.objects.filter(pk=key) if key.isdecimal() else User.objects.none()
    return found.values_list("password", flat=True).first()


def _tell_owner(request: HttpRequest, key: str) -> None:
    """Email the owner about the new password, and say so if that fails."""
    by: Any = request.user
    user = User.objects.get(pk=key)
    site = request.build_absolute_uri("/").rstrip("/")
    if not services.announce_password(by=by, user=user, site=site):
        text = _("The notification email could not be sent. Please notify %(email)s yourself.")
        messages.warning(request, text % {"email": user.email})


def _is_verified(user: Any) -> bool:
    return any(address.verified for address in user.emailaddress_set.all())
