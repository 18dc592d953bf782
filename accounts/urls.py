from django.urls import path

from accounts import joining
from accounts.views import ProfileView

app_name = "accounts"
urlpatterns = [
    path("profile/", ProfileView.as_view(), name="profile"),
    path("status/", joining.status, name="status"),
]
