from django.urls import path
from django.views.decorators.http import require_safe

from diagnosis import case_views, serving, views

app_name = "readings"
urlpatterns = [
    path("", views.ReadingListView.as_view(), name="list"),
    path("new/", views.NewReadingView.as_view(), name="new"),
    path("new/inspect/", views.InspectFilmView.as_view(), name="inspect"),
    path("<uuid:pk>/", views.reading_detail, name="detail"),
    path("<uuid:pk>/edit/", views.EditReadingView.as_view(), name="edit"),
    path("<uuid:pk>/delete/", views.DeleteReadingView.as_view(), name="delete"),
    path("<uuid:pk>/undelete/", views.UndeleteReadingView.as_view(), name="undelete"),
    path("<uuid:pk>/own-reading/", views.ReviewView.as_view(), name="review"),
    path("<uuid:pk>/film/", require_safe(serving.film_response), name="film"),
    path("<uuid:pk>/heatmap/", require_safe(serving.heatmap_response), name="heatmap"),
    path("<uuid:pk>/report/", views.reading_report, name="report"),
    path("<uuid:pk>/share/", case_views.ShareCaseView.as_view(), name="share"),
    path(
        "<uuid:pk>/share/<uuid:picture>/withdraw/",
        case_views.WithdrawCaseView.as_view(),
        name="withdraw",
    ),
]
