"""Admin pages of a patient: merge with another, split, undo, and possible duplicates.

Each page shows what will move before anything does. `PatientAdmin` registers them.
"""

import uuid
from collections.abc import Callable
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.audit.recording import record_shown
from accounts.models import User
from diagnosis import access_log
from diagnosis.models import Patient, PatientOperation, Reading
from diagnosis.services import duplicates
from diagnosis.services import patient_moves as moves
from xraysite.common.dates import short_date
from xraysite.common.forms import ReasonForm

MAX_FOUND = 20
MAX_REASON = 300
LABELS = {
    "name": gettext_lazy("Patient's name"),
    "number": gettext_lazy("Patient number"),
    "birth_date": gettext_lazy("Date of birth"),
    "sex": gettext_lazy("Sex"),
}


class MoveForm(ReasonForm):
    """The reason of a merge, split or undo."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(
            *args,
            max_length=MAX_REASON,
            help_text=gettext_lazy("The reason is recorded in the audit log with your name."),
            widget=forms.TextInput(attrs={"class": "vTextField"}),
            **kwargs,
        )


class MergeForm(MoveForm):
    """Which value wins where two patients differ, and the reason."""

    def __init__(self, *args: Any, source: Patient, target: Patient, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in moves.FIELDS:
            values = shown_value(target, name), shown_value(source, name)
            if getattr(source, name) != getattr(target, name):
                self.fields[name] = forms.ChoiceField(
                    label=str(LABELS[name]),
                    choices=[("target", values[0]), ("source", values[1])],
                    widget=forms.RadioSelect,
                    initial="target" if getattr(target, name) else "source",
                )
        self.order_fields([*moves.FIELDS, "reason"])

    def from_source(self) -> list[str]:
        """Return the fields whose value the source has right."""
        return [name for name in moves.FIELDS if self.cleaned_data.get(name) == "source"]


def shown_value(patient: Patient, name: str) -> str:
    """Return a field of a patient for display."""
    if name == "sex":
        return patient.get_sex_display() or "–"
    value = getattr(patient, name)
    return short_date(value) if name == "birth_date" and value else value or "–"


def _patient(request: HttpRequest, pk: uuid.UUID) -> Patient:
    if not request.user.has_perm("diagnosis.oversee_reading"):
        raise PermissionDenied
    return get_object_or_404(Patient.objects.visible_to(request.user), pk=pk)


def _readings(request: HttpRequest, patient: Patient) -> list[Reading]:
    readings = Reading.objects.visible_to(request.user).filter(study__patient=patient)
    found = list(readings.select_related("doctor", "study").defer("activation_map"))
    access_log.record_list(found, what="patient-page")
    return found


def _page(
    model_admin: admin.ModelAdmin, request: HttpRequest, template: str, context: dict[str, Any]
) -> HttpResponse:
    shared = model_admin.admin_site.each_context(request)
    shared |= {"opts": model_admin.opts, "media": model_admin.media}
    name = f"admin/diagnosis/patient/{template}.html"
    return TemplateResponse(request, name, shared | context)


def patient_view(
    model_admin: admin.ModelAdmin, request: HttpRequest, pk: uuid.UUID
) -> HttpResponse:
    """Show a patient with all readings, and what was merged and split."""
    patient = _patient(request, pk)
    if patient.is_merged:
        return redirect("admin:diagnosis_patient_change", patient.survivor().pk)
    operations = PatientOperation.objects.filter(target=patient) | PatientOperation.objects.filter(
        source=patient
    )
    same_number = (
        Patient.objects.visible_to(request.user)
        .filter(number_key=patient.number_key, merged_into=None)
        .exclude(pk=pk)
    )
    shown = [
        {"operation": operation, "why_not": moves.why_not_undoable(operation)}
        for operation in operations.select_related("source", "target", "by", "undone_by")
    ]
    context = {
        "title": _("Patient"),
        "patient": patient,
        "readings": _readings(request, patient),
        "operations": shown,
        "merged": patient.merged.all(),
        "shares_number": bool(patient.number_key) and same_number.exists(),
    }
    return _page(model_admin, request, "detail", context)


def find_view(model_admin: admin.ModelAdmin, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Find the patient to merge with by name or number; the text stays out of the URL."""
    patient = _patient(request, pk)
    query = request.GET.get("q", "").strip()
    others = Patient.objects.visible_to(request.user).filter(merged_into=None).exclude(pk=pk)
    found = list(others.beginning_with(query)[: MAX_FOUND + 1]) if query else []
    record_shown(Patient, [pk, *(each.pk for each in found[:MAX_FOUND])], what="patients-list")
    context = {
        "title": _("Merge with another patient"),
        "patient": patient,
        "q": query,
        "found": found[:MAX_FOUND],
        "has_more": len(found) > MAX_FOUND,
    }
    return _page(model_admin, request, "find", context)


def merge_view(
    model_admin: admin.ModelAdmin, request: HttpRequest, pk: uuid.UUID, other: uuid.UUID
) -> HttpResponse:
    """Show two patients side by side, and on POST move everything of `other` to `pk`."""
    target, source = _patient(request, pk), _patient(request, other)
    if target == source or target.is_merged or source.is_merged:
        messages.error(request, str(moves.GONE))
        return redirect("admin:diagnosis_patient_changelist")
    posted = request.POST if request.method == "POST" else None
    form = MergeForm(posted, source=source, target=target)
    if posted is not None and form.is_valid():
        done = _try(
            request,
            lambda: moves.merge_patients(
                supervisor=cast(User, request.user),
                source_id=source.pk,
                target_id=target.pk,
                from_source=form.from_source(),
                reason=form.cleaned_data["reason"],
            ),
            _("The patients have been merged."),
        )
        return redirect("admin:diagnosis_patient_change", target.pk if done else pk)
    context = {
        "title": _("Merge two patients"),
        "form": form,
        "target": target,
        "source": source,
        "rows": [
            (LABELS[name], shown_value(target, name), shown_value(source, name))
            for name in moves.FIELDS
        ],
        "of_target": _readings(request, target),
        "of_source": _readings(request, source),
    }
    return _page(model_admin, request, "merge", context)


def split_view(model_admin: admin.ModelAdmin, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Choose the readings of somebody else, and on POST move them to a new patient."""
    patient = _patient(request, pk)
    form = MoveForm(request.POST if request.method == "POST" else None)
    chosen = set(request.POST.getlist("reading"))
    if request.method == "POST" and form.is_valid():
        readings = Reading.objects.visible_to(request.user).filter(study__patient=patient)
        ids = [key for key in readings.values_list("pk", flat=True) if str(key) in chosen]
        done = _try(
            request,
            lambda: moves.split_patient(
                supervisor=cast(User, request.user),
                patient_id=pk,
                reading_ids=ids,
                reason=form.cleaned_data["reason"],
            ),
            _("The readings have been moved to a new patient."),
        )
        if done is not None:
            return redirect("admin:diagnosis_patient_change", done.target_id)
    context = {
        "title": _("Split a patient"),
        "form": form,
        "patient": patient,
        "readings": _readings(request, patient),
        "chosen": chosen,
    }
    return _page(model_admin, request, "split", context)


def undo_view(model_admin: admin.ModelAdmin, request: HttpRequest, operation: int) -> HttpResponse:
    """Show what a merge or split moved, and on POST move it back."""
    if not request.user.has_perm("diagnosis.oversee_reading"):
        raise PermissionDenied
    related = PatientOperation.objects.select_related("source", "target", "by")
    found = get_object_or_404(related, pk=operation)
    back_to = found.target_id if found.kind == PatientOperation.Kind.MERGE else found.source_id
    if request.method == "POST":
        _try(
            request,
            lambda: moves.undo(supervisor=cast(User, request.user), operation_id=found.pk),
            _("Undone: everything is where it was before."),
        )
        return redirect("admin:diagnosis_patient_change", back_to)
    moved = Reading.objects.visible_to(request.user).filter(pk__in=found.moved["readings"])
    readings = list(moved.select_related("doctor").defer("activation_map"))
    access_log.record_list(readings, what="patient-page")
    context = {
        "title": _("Undo a merge or split"),
        "operation": found,
        "why_not": moves.why_not_undoable(found),
        "readings": readings,
        "back_to": back_to,
    }
    return _page(model_admin, request, "undo", context)


def duplicates_view(model_admin: admin.ModelAdmin, request: HttpRequest) -> HttpResponse:
    """List patients who may be one; on POST, record that some are different persons."""
    if not request.user.has_perm("diagnosis.oversee_reading"):
        raise PermissionDenied
    supervisor = cast(User, request.user)
    form = MoveForm(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        ids = _ids(request.POST.getlist("patient"))
        if not form.is_valid() or not ids:
            messages.error(request, _("Nothing was changed. Enter the reason."))
        else:
            reason = form.cleaned_data["reason"]
            duplicates.tell_apart(supervisor=supervisor, patient_ids=ids, reason=reason)
            messages.success(request, _("Recorded: these are different persons."))
        return redirect("admin:diagnosis_patient_duplicates")
    groups = duplicates.possible_duplicates(supervisor)
    record_shown(Patient, [key for group in groups for key in group.ids], what="patients-list")
    context = {"title": _("Possible duplicates"), "groups": groups, "form": MoveForm()}
    return _page(model_admin, request, "duplicates", context)


def _try(
    request: HttpRequest, act: Callable[[], PatientOperation], done: str
) -> PatientOperation | None:
    """Do something and say so, or say why it is refused."""
    try:
        operation = act()
    except moves.MoveRefusedError as error:
        messages.error(request, str(error.text))
        return None
    except PatientOperation.DoesNotExist:
        raise Http404 from None
    messages.success(request, done)
    return operation


def _ids(texts: list[str]) -> list[uuid.UUID]:
    try:
        return [uuid.UUID(text) for text in texts[:100]]
    except ValueError:
        raise Http404 from None
