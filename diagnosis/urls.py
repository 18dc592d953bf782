from django.urls import path
from django.views.decorators.http import require_safe

from diagnosis import serving
from diagnosis.views import bulk, conflicts, editing, readings, sharing, shelves, worklist

app_name = "readings"
urlpatterns = [
    path("", worklist.WorklistView.as_view(), name="list"),
    path("changes/", worklist.ChangesView.as_view(), name="changes"),
    path("bulk/", bulk.BulkView.as_view(), name="bulk"),
    path("bulk/undo/<int:at>/", bulk.BulkUndoView.as_view(), name="bulk_undo"),
    path("tags/", shelves.TagsView.as_view(), name="tags"),
    path("tags/<int:pk>/", shelves.TagView.as_view(), name="tag"),
    path("views/", shelves.SavedViewsView.as_view(), name="views"),
    path("views/<int:pk>/", shelves.SavedViewView.as_view(), name="view"),
    path("new/", readings.NewReadingView.as_view(), name="new"),
    path("new/inspect/", readings.InspectFilmView.as_view(), name="inspect"),
    path("new/check/<uuid:submission>/", conflicts.CheckReadingView.as_view(), name="check"),
    path("<uuid:pk>/", readings.reading_detail, name="detail"),
    path("<uuid:pk>/step/<slug:way>/", worklist.StepView.as_view(), name="step"),
    path("<uuid:pk>/edit/", editing.EditReadingView.as_view(), name="edit"),
    path("<uuid:pk>/delete/", readings.DeleteReadingView.as_view(), name="delete"),
    path("<uuid:pk>/undelete/", readings.UndeleteReadingView.as_view(), name="undelete"),
    path("<uuid:pk>/own-reading/", readings.ReviewView.as_view(), name="review"),
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
