from django.urls import path

from accounts.views import profile, sessions, status, tokens, two_factor

app_name = "accounts"
urlpatterns = [
    path("profile/", profile.ProfileView.as_view(), name="profile"),
    path("profile/picture/", profile.change_picture, name="picture"),
    path("<int:pk>/avatar/", profile.avatar, name="avatar"),
    path("sessions/<int:pk>/end/", sessions.end_session, name="end_session"),
    path("status/", status.status, name="status"),
    path("second-factor/", two_factor.explain, name="second_factor"),
    path("tokens/", tokens.TokensView.as_view(), name="tokens"),
    path("tokens/new/", tokens.NewTokenView.as_view(), name="new_token"),
    path("tokens/<int:pk>/revoke/", tokens.RevokeTokenView.as_view(), name="revoke_token"),
    path("session/", sessions.session, name="session"),
    path("session/stay/", sessions.stay, name="stay"),
]
