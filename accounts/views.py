from django.contrib import messages
from django.forms import BaseModelForm
from django.http import HttpResponse
from django.urls import reverse_lazy
from django.utils.translation import gettext
from django.views.generic import UpdateView

from accounts import roles, services
from accounts.adapter import set_language_cookie
from accounts.forms import ProfileForm
from accounts.models import User


class ProfileView(UpdateView):
    """The signed-in person's own account."""

    form_class = ProfileForm
    template_name = "accounts/profile.html"
    success_url = reverse_lazy("accounts:profile")

    def get_object(self, queryset=None) -> User:
        return User.objects.get(email=self.request.user.get_username())

    def get_context_data(self, **kwargs):
        names = self.request.user.groups.order_by("name").values_list("name", flat=True)
        return super().get_context_data(**kwargs) | {
            "roles": [roles.NAMES.get(name, name) for name in names]
        }

    def form_valid(self, form: BaseModelForm) -> HttpResponse:
        user = services.update_profile(user=form.instance)
        messages.success(self.request, gettext("Profile saved."))
        response = HttpResponse(status=302, headers={"Location": str(self.success_url)})
        set_language_cookie(response, user)
        return response
