from django.urls import path

from accounts import joining, second_factor, sessions
from accounts.views import ProfileView, avatar, change_picture, end_session

app_name = "accounts"
urlpatterns = [
    path("profile/", ProfileView.as_view(), name="profile"),
    path("profile/picture/", change_picture, name="picture"),
    path("<int:pk>/avatar/", avatar, name="avatar"),
    path("sessions/<int:pk>/end/", end_session, name="end_session"),
    path("status/", joining.status, name="status"),
    path("second-factor/", second_factor.explain, name="second_factor"),
    path("session/", sessions.session, name="session"),
    path("session/stay/", sessions.stay, name="stay"),
]
