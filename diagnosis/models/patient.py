"""Patients and their studies: who a reading is about, whatever its doctor wrote.

A reading keeps the patient's details as its doctor wrote them. A patient is the identity that the
readings of one person share. Doctors are shown the details of readings that they may see, never
those of the patient's row: it may have been made from another doctor's reading.
"""

import uuid
from typing import ClassVar

from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from diagnosis.models.choices import Sex
from diagnosis.querysets import PatientQuerySet
from diagnosis.search import NumberKeyField, SearchKeyField

# Rows that hold their number: one on the site. The others wait for a supervisor's decision.
HOLDS_NUMBER = models.Q(number_disputed=False, merged_into__isnull=True) & ~models.Q(number_key="")


class Patient(models.Model):
    """A patient, known by number, or by a single reading without a number.

    Attributes:
        number_disputed: another patient holds the same number under another name, so that one of
            the two is wrong. Supervisors are shown both.
        merged_into: the patient that this one turned out to be. The row stays, so that the number
            still leads to the patient and the merge can be undone.
        checked_at: when a supervisor decided that this is a different person from patients with the
            same number or name.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    number = models.CharField(_("patient number"), max_length=64, blank=True)
    name = models.CharField(_("patient's name"), max_length=120)
    birth_date = models.DateField(_("date of birth"), null=True, blank=True)
    sex = models.CharField(_("sex"), max_length=1, choices=Sex.choices, blank=True)
    number_key = NumberKeyField(source="number")
    name_key = SearchKeyField(source="name")
    number_disputed = models.BooleanField(_("number disputed"), default=False, editable=False)
    merged_into = models.ForeignKey(
        "self",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        editable=False,
        related_name="merged",
        verbose_name=_("merged into"),
    )
    checked_at = models.DateTimeField(_("checked at"), null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    objects: ClassVar = PatientQuerySet.as_manager()

    class Meta:
        verbose_name = _("patient")
        verbose_name_plural = _("patients")
        default_permissions = ()
        ordering: ClassVar = ["-created_at", "-id"]
        indexes: ClassVar = [
            models.Index(
                fields=["number_key", "id"],
                opclasses=["varchar_pattern_ops", "uuid_ops"],
                name="patient_number",
            ),
            models.Index(fields=["-created_at", "-id"], name="patient_newest"),
            # Covers the list of patients with the same name and date of birth.
            models.Index(
                fields=["name_key", "birth_date", "number_key", "checked_at", "merged_into"],
                opclasses=[
                    "varchar_pattern_ops", "date_ops", "text_ops", "timestamptz_ops", "uuid_ops",
                ],
                name="patient_name",
            ),
            models.Index(
                fields=["number_disputed", "number_key", "checked_at", "merged_into"],
                condition=models.Q(number_disputed=True),
                name="patient_disputed",
            ),
        ]  # fmt: skip
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["number_key"], condition=HOLDS_NUMBER, name="patient_number_unique"
            ),
            models.CheckConstraint(
                condition=models.Q(merged_into__isnull=True)
                | ~models.Q(merged_into=models.F("id")),
                name="patient_not_merged_into_itself",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)

    def get_absolute_url(self) -> str:
        return reverse("patients:detail", args=[self.pk])

    @property
    def is_merged(self) -> bool:
        return self.merged_into_id is not None

    def survivor(self) -> "Patient":
        """Return the patient that this one was merged into, or itself."""
        found = self
        while found.merged_into is not None:
            found = found.merged_into
        return found


class Study(models.Model):
    """An examination of a patient: the films of one day, or of one Study Instance UID."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    patient = models.ForeignKey(
        Patient, on_delete=models.PROTECT, related_name="studies", verbose_name=_("patient")
    )
    exam_date = models.DateField(_("exam date"))
    instance_uid = models.CharField(_("Study Instance UID"), max_length=64, blank=True)
    accession_number = models.CharField(_("accession number"), max_length=64, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("study")
        verbose_name_plural = _("studies")
        default_permissions = ()
        ordering: ClassVar = ["-exam_date", "-created_at", "-id"]

    def __str__(self) -> str:
        return str(self.id)


class PatientOperation(models.Model):
    """A merge or split of patients by a supervisor: what moved, so that it can be undone.

    It is deleted with its patients: `moved` contains their details.
    """

    class Kind(models.TextChoices):
        MERGE = "MERGE", _("Merge")
        SPLIT = "SPLIT", _("Split")

    kind = models.CharField(_("operation"), max_length=5, choices=Kind.choices)
    source = models.ForeignKey(
        Patient, on_delete=models.CASCADE, related_name="+", verbose_name=_("moved from")
    )
    target = models.ForeignKey(
        Patient, on_delete=models.CASCADE, related_name="+", verbose_name=_("moved to")
    )
    # As `services.patient_moves.Moved`.
    moved = models.JSONField(_("what moved"), editable=False)
    reason = models.CharField(_("reason"), max_length=300)
    by = models.ForeignKey(
        "accounts.User", on_delete=models.PROTECT, related_name="+", verbose_name=_("by")
    )
    at = models.DateTimeField(_("when"), auto_now_add=True)
    undone_at = models.DateTimeField(_("undone at"), null=True, blank=True)
    undone_by = models.ForeignKey(
        "accounts.User",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("undone by"),
    )

    class Meta:
        verbose_name = _("merge or split of patients")
        verbose_name_plural = _("merges and splits of patients")
        default_permissions = ()
        ordering: ClassVar = ["-at", "-id"]

    def __str__(self) -> str:
        return str(self.pk)
