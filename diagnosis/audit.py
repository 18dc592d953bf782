"""The audit events of readings."""

from auditlog.registry import auditlog
from django.utils.translation import gettext_lazy as _

from accounts.audit import registry
from diagnosis.models import Reading

EVENTS = {
    "page": _("viewed the reading"),
    "edit-page": _("opened the page that corrects the reading"),
    "delete-page": _("opened the page that deletes the reading"),
    "share-page": _("opened the page that shares the reading"),
    "film": _("viewed the X-ray"),
    "thumbnail": _("viewed the thumbnail"),
    "heatmap": _("viewed the heatmap"),
    "report": _("viewed the report"),
    "admin page": _("viewed the reading in the admin"),
    "admin list": _("viewed a list of readings in the admin"),
    "original": _("downloaded the original file"),
    "same-film": _("was shown readings of the same X-ray"),
    "discrepancy": _("decided where file and form differ"),
    "shared-films": _("viewed the list of X-rays of several patients"),
    "list": _("viewed a list of readings"),
    "purge-selection": _("viewed a selection of readings to purge"),
    "access-denied": _("was refused access to the reading"),
    "edited": _("corrected the patient's details"),
    "hidden": _("deleted the reading"),
    "restored": _("restored the reading"),
    "purged": _("purged the reading"),
    "reviewed": _("recorded the doctor's assessment"),
    "opinion-first": _("recorded a first opinion before the model's result"),
    "opinion-signed": _("signed the opinion"),
    "opinion-addendum": _("added an addendum to the opinion"),
    "diagnosis-confirmed": _("recorded the confirmed diagnosis"),
    "case-shared": _("shared a case on the discussion board"),
    "case-withdrawn": _("withdrew a shared image"),
    "exported": _("exported"),
    "exported-readings": _("received the reading in an export"),
    "batch-begun": _("began a batch of X-rays"),
    "batch-film": _("viewed an X-ray of a batch that had not been read"),
    "batch-cancelled": _("cancelled what was not read of a batch"),
    "batch-file-removed": _("removed an X-ray from a batch"),
    "batch-expired": _("removed X-rays of a batch that waited for too long"),
    "access-searched": _("searched the access log of a patient"),
}
# Computed from other fields, or too large to keep twice.
NOT_RECORDED = [
    "activation_map", "updated_at", "patient_name_key", "patient_number_key", "agreement",
    "age_scope", "blind_first", "withheld", "opened_at", "answer_shown_at",
]  # fmt: skip


def register() -> None:
    """Register the events and the recorded model of this app."""
    registry.register(EVENTS, always=["diagnosis.reading"])
    auditlog.register(Reading, exclude_fields=NOT_RECORDED)
