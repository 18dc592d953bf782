"""The DICOM UIDs of the file that a reading was made of."""

from django.db import models
from django.utils.translation import gettext_lazy as _

UID_FIELDS = ("film_study_uid", "film_series_uid", "film_instance_uid", "film_sop_class_uid")


class FilmUids(models.Model):
    """The UIDs in the file's header, as the file states them; "" where it states none.

    Also "" for readings made before they were stored, until `fill_film_uids` has run. For UIDs
    that other systems are told, see `exchange.uids`.
    """

    film_study_uid = models.CharField(
        _("Study Instance UID in the file"), max_length=64, blank=True, editable=False
    )
    film_series_uid = models.CharField(
        _("Series Instance UID in the file"), max_length=64, blank=True, editable=False
    )
    film_instance_uid = models.CharField(
        _("SOP Instance UID in the file"), max_length=64, blank=True, editable=False
    )
    film_sop_class_uid = models.CharField(
        _("SOP Class UID in the file"), max_length=64, blank=True, editable=False
    )

    class Meta:
        abstract = True


# Without the readings of other files, so that those cost nothing.
UID_INDEXES = [
    models.Index(
        fields=["film_study_uid", "film_series_uid", "film_instance_uid"],
        condition=~models.Q(film_study_uid=""),
        name="reading_film_study",
    ),
    models.Index(
        fields=["film_series_uid"],
        condition=~models.Q(film_series_uid=""),
        name="reading_film_series",
    ),
    models.Index(
        fields=["film_instance_uid"],
        condition=~models.Q(film_instance_uid=""),
        name="reading_film_instance",
    ),
]
