from django.urls import path
from django.views.decorators.http import require_safe

from diagnosis import serving
from diagnosis.views import conflicts, editing, opinions, readings, sharing, statistics

app_name = "readings"
urlpatterns = [
    path("", readings.ReadingListView.as_view(), name="list"),
    path("statistics/", statistics.StatisticsView.as_view(), name="statistics"),
    path("new/", readings.NewReadingView.as_view(), name="new"),
    path("new/inspect/", readings.InspectFilmView.as_view(), name="inspect"),
    path("new/check/<uuid:submission>/", conflicts.CheckReadingView.as_view(), name="check"),
    path("<uuid:pk>/", readings.reading_detail, name="detail"),
    path("<uuid:pk>/edit/", editing.EditReadingView.as_view(), name="edit"),
    path("<uuid:pk>/delete/", readings.DeleteReadingView.as_view(), name="delete"),
    path("<uuid:pk>/undelete/", readings.UndeleteReadingView.as_view(), name="undelete"),
    path("<uuid:pk>/own-reading/", opinions.OpinionView.as_view(), name="review"),
    path("<uuid:pk>/diagnosis/", opinions.DiagnosisView.as_view(), name="diagnosis"),
    path("<uuid:pk>/film/", require_safe(serving.film_response), name="film"),
    path("<uuid:pk>/heatmap/", require_safe(serving.heatmap_response), name="heatmap"),
    path("<uuid:pk>/report/", readings.reading_report, name="report"),
    path("<uuid:pk>/share/", sharing.ShareCaseView.as_view(), name="share"),
    path(
        "<uuid:pk>/share/<uuid:picture>/withdraw/",
        sharing.WithdrawCaseView.as_view(),
        name="withdraw",
    ),
]
