"""The forms of a doctor's opinion and of the diagnosis that was confirmed later."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from diagnosis.models import Verdict
from diagnosis.models.findings import (
    ABNORMAL,
    SIDED,
    TEXT_LENGTH,
    WORDED,
    Finding,
    Lobe,
    Side,
    finding,
)
from diagnosis.models.opinion import NOTE_LENGTH, Confidence, ConfirmedDiagnosis, Stage
from diagnosis.services.opinions import Content

LISTS = ("findings", "lobes")
MAX_CHOICES = 20


class OpinionForm(forms.Form):
    """A doctor's opinion: a verdict is enough; findings, confidence and note are optional.

    No verdict is preselected, so that the form does not suggest the model's.

    Args:
        stage: the `Stage` that is asked for. An addendum needs a note.
    """

    verdict = forms.ChoiceField(
        label=_("What do you see?"), choices=Verdict.choices, widget=forms.RadioSelect
    )
    confidence = forms.ChoiceField(
        label=_("Confidence"), choices=Confidence.choices, widget=forms.RadioSelect, required=False
    )
    findings = forms.MultipleChoiceField(
        label=_("Findings"),
        choices=Finding.choices,
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )
    lobes = forms.MultipleChoiceField(
        label=_("Lobes"), choices=Lobe.choices, widget=forms.CheckboxSelectMultiple, required=False
    )
    note = forms.CharField(
        label=_("Note"),
        max_length=NOTE_LENGTH,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "class": "form-control"}),
    )
    stage = forms.ChoiceField(choices=Stage.choices, widget=forms.HiddenInput, required=False)

    def __init__(self, *args: Any, stage: Stage, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.asked = stage
        self.fields["stage"].initial = stage
        self.fields["note"].required = stage == Stage.ADDENDUM
        for code in SIDED:
            self.fields[f"side_{code}"] = forms.ChoiceField(
                label=_("Side"),
                choices=[("", _("Side not stated")), *Side.choices],
                required=False,
                widget=forms.Select(attrs={"class": "form-select form-select-sm"}),
            )
        for code in WORDED:
            widget = forms.TextInput(attrs={"class": "form-control form-control-sm"})
            self.fields[f"text_{code}"] = forms.CharField(
                label=_("In a few words"), max_length=TEXT_LENGTH, required=False, widget=widget
            )

    def rows(self) -> list[dict[str, Any]]:
        """Return the findings for the template, each with its checkbox and further fields."""
        boxes = {box.data["value"]: box for box in self["findings"]}
        return [
            {
                "code": code,
                "box": boxes[code],
                "side": self[f"side_{code}"] if code in SIDED else None,
                "text": self[f"text_{code}"] if code in WORDED else None,
                "lobes": self["lobes"] if code == Finding.CONSOLIDATION else None,
            }
            for code in Finding.values
        ]

    @property
    def has_findings(self) -> bool:
        """Whether a finding is chosen or faulty, so that their list is shown open."""
        return bool(self["findings"].value() or self.errors.get("findings"))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        codes, verdict = set(cleaned.get("findings", ())), cleaned.get("verdict")
        if Finding.NONE in codes and len(codes) > 1:
            self._refuse(_("“No abnormality” excludes every other finding."))
        elif verdict == Verdict.PNEUMONIA and Finding.NONE in codes:
            self._refuse(_("You chose pneumonia and “No abnormality”. Change one of them."))
        elif verdict == Verdict.NORMAL and codes & set(ABNORMAL):
            self._refuse(_("You chose normal and an abnormal finding. Change one of them."))
        if Finding.OTHER in codes and not cleaned.get("text_other"):
            self.add_error("text_other", ValidationError(_("Say what the other finding is.")))
        return cleaned

    def _refuse(self, message: Any) -> None:
        self.add_error("findings", ValidationError(message))

    def content(self) -> Content:
        """Return what was entered; the form has to be valid."""
        cleaned = self.cleaned_data
        return Content(
            verdict=cleaned["verdict"],
            confidence=cleaned["confidence"],
            note=cleaned["note"],
            findings=[
                finding(
                    code,
                    side=cleaned.get(f"side_{code}", ""),
                    lobes=cleaned["lobes"],
                    text=cleaned.get(f"text_{code}", ""),
                )
                for code in Finding.values
                if code in cleaned["findings"]
            ],
        )


def initial_of(content: Any, *, with_note: bool) -> dict[str, Any]:
    """Return the form's values for the content of an opinion."""
    initial: dict[str, Any] = {
        "verdict": content.verdict,
        "confidence": content.confidence,
        "findings": [each["code"] for each in content.findings],
        "lobes": [lobe for each in content.findings for lobe in each.get("lobes", ())],
    }
    for each in content.findings:
        initial[f"side_{each['code']}"] = each.get("side", "")
        initial[f"text_{each['code']}"] = each.get("text", "")
    return initial | ({"note": content.note} if with_note else {})


def entered(data: Any) -> dict[str, Any]:
    """Return the values of an unfinished form, to be kept as a draft; may be empty.

    Args:
        data: the POST data, a QueryDict. Unknown fields and values that are too long are left out.
    """
    form = OpinionForm(stage=Stage.SIGNED)
    kept: dict[str, Any] = {}
    for name in form.fields.keys() - {"stage"}:
        if name in LISTS:
            kept[name] = [value[:16] for value in data.getlist(name)][:MAX_CHOICES]
        else:
            limit = NOTE_LENGTH if name == "note" else TEXT_LENGTH
            kept[name] = data.get(name, "")[:limit].replace("\0", "")
    return {name: value for name, value in kept.items() if value}


class DiagnosisForm(forms.ModelForm):
    """The confirmed diagnosis, what confirmed it, and when."""

    class Meta:
        model = ConfirmedDiagnosis
        fields = ["value", "source", "confirmed_on", "detail"]
        widgets = {
            "value": forms.Select(attrs={"class": "form-select"}),
            "source": forms.Select(attrs={"class": "form-select"}),
            "confirmed_on": forms.DateInput(
                format="%Y-%m-%d", attrs={"type": "date", "class": "form-control"}
            ),
            "detail": forms.TextInput(attrs={"class": "form-control"}),
        }

    def clean_confirmed_on(self) -> Any:
        day = self.cleaned_data["confirmed_on"]
        if day > timezone.localdate():
            raise ValidationError(_("The date is in the future."))
        return day
