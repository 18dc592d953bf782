"""The audit events of readings."""

from auditlog.registry import auditlog
from django.utils.translation import gettext_lazy as _

from accounts.audit import registry
from diagnosis.models import Reading, Team, TeamMembership

EVENTS = {
    "page": _("viewed the reading"),
    "edit-page": _("opened the page that corrects the reading"),
    "delete-page": _("opened the page that deletes the reading"),
    "share-page": _("opened the page that shares the reading"),
    "film": _("viewed the X-ray"),
    "thumbnail": _("viewed the thumbnail"),
    "pixels": _("viewed the X-ray at its full depth"),
    "heatmap": _("viewed the heatmap"),
    "lungs": _("viewed the outline of the lungs"),
    "priors": _("viewed the list of the patient's other X-rays"),
    "other-films": _("viewed a list of X-rays to compare with"),
    "report": _("viewed the report"),
    "report-issued": _("received a copy of the report"),
    "admin page": _("viewed the reading in the admin"),
    "admin list": _("viewed a list of readings in the admin"),
    "original": _("downloaded the original file"),
    "same-film": _("was shown readings of the same X-ray"),
    "same-number": _("was shown readings with the same patient number"),
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
    "second-asked": _("asked the team for a second reading"),
    "second-opinion": _("recorded a second, independent opinion"),
    "arbitrated": _("decided as arbiter between two opinions"),
    "reviews-exported": _("received the X-ray in an export for training"),
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
    "tagged": _("tagged the reading"),
    "untagged": _("removed a tag from the reading"),
    "settled": _("marked the reading as done"),
    "put-back": _("put the reading back on the worklist"),
    "tag-created": _("created a tag"),
    "tag-changed": _("changed a tag"),
    "tag-deleted": _("deleted a tag"),
    "view-saved": _("saved a view of the worklist"),
    "view-default": _("chose the view that the worklist opens with"),
    "view-deleted": _("deleted a view of the worklist"),
    "patient-page": _("viewed the patient's page"),
    "patients-list": _("viewed a list of patients"),
    "merged": _("merged two patients"),
    "split": _("split a patient"),
    "undone": _("undid a merge or split of patients"),
    "told-apart": _("stated that patients are different"),
    "team-changed": _("changed the team of the reading"),
    "assigned": _("assigned the reading"),
    "member-added": _("added a member to a team"),
    "member-changed": _("changed a member's role in a team"),
    "member-removed": _("removed a member from a team"),
    "access-searched": _("searched the access log of a patient"),
}
# Computed from other fields, or too large to keep twice.
NOT_RECORDED = [
    "activation_map", "updated_at", "patient_name_key", "patient_number_key", "agreement",
    "age_scope", "own_verdict", "urgency", "pneumonia_probability", "is_unread", "opened_at",
    "waiting_since", "second_state", "blind_first", "withheld", "answer_shown_at",
]  # fmt: skip


def register() -> None:
    """Register the events and the recorded model of this app."""
    registry.register(EVENTS, always=["diagnosis.reading"])
    # Rows of other tables, which auditlog would look up for every new reading.
    related = [each.get_accessor_name() or "" for each in Reading._meta.related_objects]
    auditlog.register(Reading, exclude_fields=[*NOT_RECORDED, *related])
    auditlog.register(Team)
    auditlog.register(TeamMembership)
