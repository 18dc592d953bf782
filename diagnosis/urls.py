from django.urls import path
from django.views.decorators.http import require_safe

from diagnosis import serving
from diagnosis.views import (
    batch_files,
    batches,
    conflicts,
    editing,
    opinions,
    readings,
    sharing,
)

app_name = "readings"
urlpatterns = [
    path("", readings.ReadingListView.as_view(), name="list"),
    path("new/", readings.NewReadingView.as_view(), name="new"),
    path("new/inspect/", readings.InspectFilmView.as_view(), name="inspect"),
    path("new/check/<uuid:submission>/", conflicts.CheckReadingView.as_view(), name="check"),
    path("batches/", batches.BatchListView.as_view(), name="batches"),
    path("batches/new/", batch_files.NewBatchView.as_view(), name="new_batch"),
    path("batches/inbox/", batches.InboxView.as_view(), name="inbox"),
    path("batches/patients/", batches.PatientsView.as_view(), name="batch_patients"),
    path("batches/template/", batches.TableView.as_view(), name="batch_template"),
    path("batches/<uuid:pk>/", batches.BatchView.as_view(), name="batch"),
    path("batches/<uuid:pk>/rows/", batches.BatchRowsView.as_view(), name="batch_rows"),
    path("batches/<uuid:pk>/files/", batch_files.BatchFilesView.as_view(), name="batch_files"),
    path("batches/<uuid:pk>/known/", batch_files.KnownFilesView.as_view(), name="batch_known"),
    path("batches/<uuid:pk>/finish/", batch_files.FinishSendingView.as_view(), name="batch_finish"),
    path("batches/<uuid:pk>/cancel/", batches.CancelBatchView.as_view(), name="batch_cancel"),
    path("batches/<uuid:pk>/retry/", batches.RetryBatchView.as_view(), name="batch_retry"),
    path("batches/<uuid:pk>/table/", batches.TableView.as_view(), name="batch_table"),
    path(
        "batches/file/<uuid:item>/film/",
        require_safe(serving.waiting_film_response),
        name="batch_film",
    ),
    path(
        "batches/file/<uuid:item>/<slug:action>/",
        batches.ItemView.as_view(),
        name="batch_item",
    ),
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
