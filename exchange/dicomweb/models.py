"""What the headers of films state besides the patient, so that lists need not open files."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from diagnosis.models import BatchItem, Reading


class FilmHeader(models.Model):
    """The header of a reading's DICOM file, as far as searches show it.

    Attributes:
        attributes: elements in DICOM JSON (PS3.18, F.2), by keyword.
        name: PatientName as the file writes it, with all its groups.
        name_key: what the name that is shown is searched by, see `names.name_key`.
    """

    reading = models.OneToOneField(
        Reading, on_delete=models.CASCADE, primary_key=True, related_name="film_header"
    )
    attributes = models.JSONField(default=dict)
    name = models.CharField(max_length=400, blank=True)
    name_key = models.TextField(blank=True)

    class Meta:
        default_permissions = ()
        verbose_name = _("header of an X-ray")
        verbose_name_plural = _("headers of X-rays")

    def __str__(self) -> str:
        return str(self.pk)


class SentFilm(models.Model):
    """A film that was sent and waits to be read, so that sending it again is harmless."""

    doctor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    instance_uid = models.CharField(max_length=64)
    item = models.OneToOneField(BatchItem, on_delete=models.CASCADE, related_name="sent_film")

    class Meta:
        default_permissions = ()
        verbose_name = _("X-ray sent over DICOMweb")
        verbose_name_plural = _("X-rays sent over DICOMweb")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["doctor", "instance_uid"], name="sent_film_once"),
        ]

    def __str__(self) -> str:
        return str(self.pk)
