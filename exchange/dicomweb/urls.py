"""The addresses of DICOMweb (PS3.18, 10)."""

from django.urls import path, register_converter
from django.urls.converters import StringConverter

from exchange.dicomweb.views.retrieving import (
    BulkDataView,
    FilmsView,
    FramesView,
    MetadataView,
    RenderedView,
    ThumbnailView,
)
from exchange.dicomweb.views.searching import SearchView
from exchange.dicomweb.views.storing import StoreView, StudyView


class UidConverter(StringConverter):
    regex = "[0-9.]{1,64}"


class FramesConverter(StringConverter):
    regex = "[0-9,]{1,100}"


register_converter(UidConverter, "uid")
register_converter(FramesConverter, "frames")

app_name = "dicomweb"
STUDY = "studies/<uid:study>"
SERIES = f"{STUDY}/series/<uid:series>"
FILM = f"{SERIES}/instances/<uid:instance>"

urlpatterns = [
    path("studies", StoreView.as_view(), name="studies"),
    path("series", SearchView.as_view(level="series"), name="series"),
    path("instances", SearchView.as_view(level="instances"), name="instances"),
    path(STUDY, StudyView.as_view(), name="study"),
    path(f"{STUDY}/series", SearchView.as_view(level="series"), name="study_series"),
    path(f"{STUDY}/instances", SearchView.as_view(level="instances"), name="study_instances"),
    path(f"{SERIES}/instances", SearchView.as_view(level="instances"), name="series_instances"),
    path(SERIES, FilmsView.as_view(), name="one_series"),
    path(FILM, FilmsView.as_view(), name="instance"),
    path(f"{STUDY}/metadata", MetadataView.as_view(), name="study_metadata"),
    path(f"{SERIES}/metadata", MetadataView.as_view(), name="series_metadata"),
    path(f"{FILM}/metadata", MetadataView.as_view(), name="instance_metadata"),
    path(f"{STUDY}/rendered", RenderedView.as_view(), name="study_rendered"),
    path(f"{SERIES}/rendered", RenderedView.as_view(), name="series_rendered"),
    path(f"{FILM}/rendered", RenderedView.as_view(), name="instance_rendered"),
    path(f"{STUDY}/thumbnail", ThumbnailView.as_view(), name="study_thumbnail"),
    path(f"{SERIES}/thumbnail", ThumbnailView.as_view(), name="series_thumbnail"),
    path(f"{FILM}/thumbnail", ThumbnailView.as_view(), name="instance_thumbnail"),
    path(f"{FILM}/frames/<frames:frames>", FramesView.as_view(), name="frames"),
    path(f"{FILM}/frames/<frames:frames>/rendered", RenderedView.as_view(), name="frames_rendered"),
    path(
        f"{FILM}/frames/<frames:frames>/thumbnail", ThumbnailView.as_view(), name="frames_thumbnail"
    ),
    path(f"{FILM}/bulkdata/<path:path>", BulkDataView.as_view(), name="bulkdata"),
]
