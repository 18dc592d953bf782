"""Account decisions in the admin: a confirmation page for each, and the buttons that lead there."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts import roles, services
from accounts.models import User
from xraysite.common.forms import ReasonForm


class SureForm(forms.Form):
    """A confirmation without fields."""

    def __init__(self, *args: Any, by: User, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.by, self.user = by, user


def reason_form(data: Any = None, *, by: User, user: User) -> ReasonForm:
    """Return the form for the reason of a decision, which is mailed to the account's owner."""
    return ReasonForm(
        data,
        max_length=1000,
        help_text=_("Sent to the account holder by email and kept in the audit log."),
        widget=forms.Textarea(attrs={"rows": 4, "cols": 60}),
    )


class RoleForm(SureForm):
    """Offers the roles that the supervisor may assign."""

    role = forms.ChoiceField(label=_("Role"), widget=forms.RadioSelect)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["role"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - for the type checker
        field.choices = [(role, roles.NAMES[role]) for role in services.grantable_roles(self.by)]
        field.initial = next(iter(services.roles_of(self.user)), roles.DOCTOR)


class Page(NamedTuple):
    """The form and texts of a decision's confirmation page."""

    act: services.Act
    service: Callable[..., services.Decision]
    form: Callable[..., forms.Form]
    button: str | Promise
    title: str | Promise
    what: str | Promise
    done: str | Promise
    is_against: bool = False


PAGES = (
    Page(
        services.APPROVE,
        services.approve_account,
        RoleForm,
        _("Approve"),
        _("Approve %(name)s?"),
        _("The account holder can sign in with this role immediately and is notified by email."),
        _("%(name)s has been approved."),
    ),
    Page(
        services.REJECT,
        services.reject_account,
        reason_form,
        _("Reject"),
        _("Reject %(name)s?"),
        _("The account holder can read the reason on the status page and gets it by email. You can "
          "still approve the account later."),
        _("%(name)s has been rejected."),
        is_against=True,
    ),
    Page(
        services.SUSPEND,
        services.suspend_account,
        reason_form,
        _("Suspend"),
        _("Suspend %(name)s?"),
        _("All sessions of this account end immediately and it can no longer be used to sign in. "
          "Its records are kept. The account holder gets the reason by email."),
        _("%(name)s has been suspended and signed out on all devices."),
        is_against=True,
    ),
    Page(
        services.REINSTATE,
        services.reinstate_account,
        SureForm,
        _("Reinstate"),
        _("Reinstate %(name)s?"),
        _("The account holder can sign in again with the previous role and is notified by email."),
        _("%(name)s has been reinstated."),
    ),
    Page(
        services.CHANGE_ROLE,
        services.change_role,
        RoleForm,
        _("Change role"),
        _("Change the role of %(name)s?"),
        _(
                "The new role replaces the current one immediately. The account holder is "
                "notified by email."
        ),
        _("The role of %(name)s has been changed."),
    ),
)  # fmt: skip


def buttons(by: Any, user: User) -> list[dict[str, Any]]:
    """Return the buttons for the decisions that `by` can make about `user` now."""
    if not by.has_perm(services.DECIDE):
        return []
    return [
        {
            "text": page.button,
            "url": reverse(f"admin:accounts_user_{page.act.name}", args=[user.pk]),
            "is_against": page.is_against,
        }
        for page in PAGES
        if services.refusal(by=by, user=user, act=page.act) is None
    ]


def urls(model_admin: admin.ModelAdmin) -> list[URLPattern]:
    """Return the URLs of the confirmation pages."""
    return [
        path(
            f"<int:object_id>/{page.act.name}/",
            model_admin.admin_site.admin_view(partial(decide, model_admin, page=page)),
            name=f"accounts_user_{page.act.name}",
        )
        for page in PAGES
    ]


def decide(
    model_admin: admin.ModelAdmin, request: HttpRequest, object_id: int, *, page: Page
) -> HttpResponse:
    """Show the confirmation page; on POST, carry out the decision."""
    by: Any = request.user
    if not by.has_perm(services.DECIDE):
        raise PermissionDenied
    user = get_object_or_404(User, pk=object_id)
    answers = request.POST if request.method == "POST" else None
    form = page.form(answers, by=by, user=user)
    if request.method == "POST":
        if form.is_valid():
            return _carry_out(request, page, user, form.cleaned_data)
    elif (why_not := services.refusal(by=by, user=user, act=page.act)) is not None:
        messages.warning(request, str(why_not))
        return _back(user)
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": User._meta,
        "media": model_admin.media,
        "title": page.title % {"name": user.display_name},
        "page": page,
        "applicant": user,
        "roles_held": [roles.NAMES[role] for role in services.roles_of(user)],
        "form": form,
    }
    return TemplateResponse(request, "admin/accounts/user/decide.html", context)


def _carry_out(
    request: HttpRequest, page: Page, user: User, answers: dict[str, Any]
) -> HttpResponse:
    site = request.build_absolute_uri("/").rstrip("/")
    try:
        decision = page.service(by=request.user, user=user, site=site, **answers)
    except services.DecisionRefusedError as error:
        messages.warning(request, f"{error} {gettext('Nothing was changed.')}")
        return _back(user)
    if not decision.changed:
        standing = services.standing(decision.user)
        messages.info(request, f"{standing} {gettext('Nothing was changed.')}")
        return _back(user)
    messages.success(request, page.done % {"name": user.display_name})
    if decision.mailed is False:
        messages.warning(
            request,
            gettext("The notification email could not be sent. Please notify %(email)s yourself.")
            % {"email": user.email},
        )
    if page.act in (services.APPROVE, services.REJECT) and User.objects.waiting().exists():
        return HttpResponseRedirect(f"{reverse('admin:accounts_user_changelist')}?state=waiting")
    return _back(user)


def _back(user: User) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:accounts_user_change", args=[user.pk]))
