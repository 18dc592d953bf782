"""What a report states, in the active language: the same for the page and for the PDF.

Everything comes from what is stored with the reading, so a report made years later states what the
doctor saw. The page shows these texts and the PDF prints them; neither adds any of its own.
"""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import get_language, gettext, ngettext, pgettext
from django.utils.translation import gettext_lazy as _

from diagnosis.models import ConfirmedDiagnosis, Label, Opinion, Reading, Stage
from diagnosis.services.heatmaps import LUNGS_ONLY, UNKNOWN, heatmap_place
from xraysite.common.dates import short_date, short_datetime

# Characters of free text from which the printed page takes smaller type.
LONG, VERY_LONG = 350, 900
# How an opinion after the signed one is introduced.
RECORDED = {
    Stage.ADDENDUM: _("Addendum by %(who)s on %(when)s"),
    Stage.SECOND: _("Second, independent reading by %(who)s on %(when)s"),
    Stage.ARBITER: _("Decided as arbiter by %(who)s on %(when)s"),
}


@dataclass(frozen=True)
class Fact:
    """A label and its value, which may be the patient's name or an identifier."""

    label: str
    value: str
    is_name: bool = False
    is_code: bool = False


@dataclass(frozen=True)
class Statement:
    """A signed opinion or an addendum: what the doctor sees, and who recorded it when."""

    verdict: str
    confidence: str
    findings: list[str]
    note: str
    recorded: str


@dataclass(frozen=True)
class Figures:
    """The probability, and its place on the scale of the rule, in percent."""

    label: str
    probability: str
    rule: str
    percent: float
    limits: list[float]
    limit_texts: list[str]


@dataclass(frozen=True)
class Legend:
    """What the heatmap shows, and how far it can be trusted."""

    weak: str
    strong: str
    lines: list[str]
    warnings: list[str]


@dataclass(frozen=True)
class ReportContent:
    """All texts of a report in one language."""

    language: str
    title: str
    hospital: str
    patient: list[Fact]
    exam: list[Fact]
    assessment_heading: str
    assessment: list[Statement]
    no_assessment: str
    diagnosis: str
    result_heading: str
    label: str
    result: str
    result_lines: list[str]
    figures: Figures | None
    reasons: list[str]
    hints: list[str]
    decided_heading: str
    decided: list[Fact]
    decided_lines: list[str]
    film: str
    film_missing: str
    heatmap: str
    legend: Legend | None
    deleted: str
    signature: str
    signer: list[str]
    record: str
    record_hint: str
    notes: list[str]
    continued: str
    unprintable: str

    @property
    def columns(self) -> list[list[Fact]]:
        """The facts as the page shows them: about the patient, and about the examination."""
        return [self.patient, self.exam]

    @property
    def density(self) -> str:
        """How small the type of the printed page has to be: "", "long" or "very-long"."""
        texts = [*self.reasons, *self.hints, *self.decided_lines]
        texts += [fact.value for fact in self.decided]
        for statement in self.assessment:
            texts += [statement.note, statement.recorded, *statement.findings]
        count = sum(len(text) for text in texts)
        return "very-long" if count > VERY_LONG else "long" if count > LONG else ""


def report_content(reading: Reading, *, with_map: bool) -> ReportContent:
    """Return the texts of a reading's report in the active language and time zone.

    Args:
        reading: the reading, with `doctor` and `model_version`.
        with_map: whether the heatmap is shown; a reading out of scope has none.
    """
    signed = _signed(reading)
    return ReportContent(
        language=get_language() or "",
        title=gettext("Chest X-ray report"),
        hospital=_hospital(reading.doctor),
        patient=_patient(reading),
        exam=_exam(reading),
        assessment_heading=gettext("Doctor's assessment"),
        assessment=[_statement(opinion) for opinion in signed],
        no_assessment=gettext("No opinion has been signed."),
        diagnosis=_confirmed(reading),
        result_heading=gettext("Result of the AI model"),
        label=reading.label,
        result=str(reading.get_label_display()),
        result_lines=_result_lines(reading),
        figures=None if reading.is_out_of_scope else _figures(reading),
        reasons=reading.scope_reason_texts,
        hints=_hints(reading),
        decided_heading=gettext("Decided before saving"),
        decided=[_decided(entry) for entry in reading.shown_discrepancies],
        decided_lines=_decided_lines(reading),
        film=gettext("Chest X-ray"),
        film_missing=_film_missing(),
        heatmap=gettext("Heatmap of the areas that support pneumonia"),
        legend=_legend(reading) if with_map and not reading.is_out_of_scope else None,
        deleted=gettext("This reading has been deleted.") if reading.is_hidden else "",
        signature=gettext("Date and signature"),
        signer=_signer(signed[0].author if signed else reading.doctor),
        record=gettext("Record"),
        record_hint=gettext("Scan to open the record. You need to sign in."),
        notes=_notes(reading),
        continued=gettext("continued in the record"),
        unprintable=_unprintable(),
    )


def _signed(reading: Reading) -> list[Opinion]:
    stages = [Stage.SIGNED, *RECORDED]
    found = Opinion.objects.filter(reading=reading, stage__in=stages).select_related("author")
    return list(found.order_by("recorded_at", "id"))


def _film_missing() -> str:
    return gettext("The X-ray is missing from the server's storage. Contact your administrator.")


def _unprintable() -> str:
    return gettext("[U+…] stands for a character that this document cannot print; see the record.")


def doctor_name(user: Any) -> str:
    return pgettext("doctor", "%(name)s") % {"name": user.display_name}


def _hospital(doctor: Any) -> str:
    return " · ".join(part for part in (doctor.hospital, doctor.department) if part)


def _patient(reading: Reading) -> list[Fact]:
    years = reading.patient_age_years
    age = ngettext("%(age)s year old", "%(age)s years old", years) % {"age": years}
    facts = [
        Fact(gettext("Patient"), reading.patient_name, is_name=True),
        Fact(gettext("Patient number"), reading.patient_number or "–"),
        Fact(gettext("Age"), age),
    ]
    if reading.patient_birth_date:
        facts.append(Fact(gettext("Date of birth"), short_date(reading.patient_birth_date)))
    if reading.patient_sex:
        facts.append(Fact(gettext("Sex"), str(reading.get_patient_sex_display())))
    return facts


def _exam(reading: Reading) -> list[Fact]:
    model = f"{reading.model_name} {reading.bundle_sha256[:16]}"
    return [
        Fact(gettext("Exam date"), short_date(reading.exam_date)),
        Fact(gettext("Read at"), short_datetime(reading.created_at)),
        Fact(gettext("Doctor"), doctor_name(reading.doctor)),
        Fact(gettext("Model"), model),
        Fact(gettext("Reading ID"), str(reading.pk), is_code=True),
    ]


def _statement(opinion: Opinion) -> Statement:
    values = {"who": doctor_name(opinion.author), "when": short_datetime(opinion.recorded_at)}
    signed = _("Signed electronically by %(who)s on %(when)s")
    recorded = str(RECORDED.get(Stage(opinion.stage), signed))
    confidence = gettext("confidence: %(confidence)s") % {
        "confidence": opinion.get_confidence_display()
    }
    return Statement(
        verdict=str(opinion.get_verdict_display()),
        confidence=confidence if opinion.confidence else "",
        findings=opinion.finding_texts,
        note=opinion.note,
        recorded=recorded % values,
    )


def _confirmed(reading: Reading) -> str:
    found = ConfirmedDiagnosis.objects.filter(reading=reading).first()
    if found is None:
        return ""
    return gettext("Confirmed diagnosis: %(value)s (%(source)s, %(day)s)") % {
        "value": found.get_value_display(),
        "source": found.get_source_display(),
        "day": short_date(found.confirmed_on),
    }


def _signer(doctor: Any) -> list[str]:
    lines = [doctor_name(doctor)]
    if doctor.licence_number:
        lines.append(gettext("Licence number: %(number)s") % {"number": doctor.licence_number})
    return lines


def _result_lines(reading: Reading) -> list[str]:
    own = gettext("Read the X-ray yourself or consult a radiologist.")
    match reading.label:
        case Label.NORMAL:
            return [
                gettext(
                    "The model found no signs of pneumonia. Other abnormalities are still possible."
                )
            ]
        case Label.PNEUMONIA:
            return [gettext("The model found signs of pneumonia.")]
        case Label.UNSURE:
            return [
                gettext(
                    "Inconclusive is not a negative result: the model does not decide in this "
                    "range. Read the X-ray yourself or consult a radiologist."
                )
            ]
    return [
        gettext(
            "This X-ray is outside the scope that the model was validated for, so there is no "
            "result."
        ),
        own,
    ]


def _figures(reading: Reading) -> Figures:
    if reading.limits:
        rule = gettext("Rule of decision: %(rule)s") % {"rule": reading.rule_text}
    else:
        rule = gettext(
            "The probability is %(probability)s. The limits that decided are no longer known."
        ) % {"probability": reading.probability_text}
    limits = [reading.unsure_percents[0], reading.upper_percent] if reading.unsure_percents else []
    return Figures(
        label=gettext("Probability of pneumonia"),
        probability=reading.probability_text,
        rule=rule,
        percent=reading.percent,
        limits=limits,
        limit_texts=list(reading.limit_texts),
    )


def _hints(reading: Reading) -> list[str]:
    if not reading.image_hints:
        return []
    again = gettext("Consider repeating the X-ray only if you cannot read it reliably.")
    return [gettext("About the image:"), *reading.image_hint_texts, again]


def _decided(entry: dict[str, Any]) -> Fact:
    values = {"file": entry["file"], "form": entry["form"]}
    if entry["is_film"]:
        words = gettext(
            "The same X-ray is stored under “%(file)s”. It was saved under “%(form)s” too."
        )
        parts = [words % values]
    else:
        parts = [
            gettext("File: “%(file)s”. Form: “%(form)s”.") % values,
            gettext("%(chosen)s.") % {"chosen": entry["chosen"]},
        ]
    if entry["reason"]:
        parts.append(gettext("Reason: %(reason)s") % {"reason": entry["reason"]})
    parts.append(short_datetime(entry["at"]))
    return Fact(entry["label"], " ".join(parts))


def _decided_lines(reading: Reading) -> list[str]:
    if not reading.header_disowned:
        return []
    return [
        gettext(
            "The doctor stated that the file's header is wrong or belongs to somebody else, so the "
            "age in it was not taken into account."
        )
    ]


def _legend(reading: Reading) -> Legend:
    place = heatmap_place(reading)
    if place == LUNGS_ONLY:
        coarse = gettext(
            "The probability and the heatmap are based only on the lungs that the model found and "
            "a narrow margin around them. The heatmap is coarse and has not been validated against "
            "marked lesions."
        )
    else:
        coarse = gettext(
            "The heatmap is coarse, an eighth of the X-ray per cell, and has not been validated "
            "against marked lesions."
        )
    return Legend(
        weak=pgettext("evidence", "weak"),
        strong=pgettext("evidence", "strong"),
        lines=[
            gettext(
                "The redder an area, the more it supports pneumonia, compared with X-rays without "
                "pneumonia. All X-rays use the same colour scale."
            ),
            coarse,
        ],
        warnings=_warnings(place),
    )


def _warnings(place: str) -> list[str]:
    if place == "nowhere":
        return [gettext("The heatmap is empty: no area stands out from X-rays without pneumonia.")]
    if place == "outside":
        return [
            gettext(
                "Most of this evidence may lie outside the lungs. Do not rely on this heatmap."
            ),
            gettext(
                "The position of the lungs is only estimated: in a test, this warning appeared "
                "for 92%% of the heatmaps that lay mostly outside the lungs, and for 13%% of the "
                "others."
            )
            % {},
        ]
    if place == UNKNOWN:
        return [
            gettext(
                "Whether the evidence lies in the lungs could not be checked, because the X-ray is "
                "missing."
            )
        ]
    return []


def _notes(reading: Reading) -> list[str]:
    card = reading.card
    notes = []
    if card and (ages := (card.get("population") or {}).get("age_years")):
        words = gettext("Validated on frontal chest X-rays of children aged %(low)s to %(high)s.")
        notes.append(words % {"low": ages[0], "high": ages[1]})
    elif card:
        notes.append(gettext("The patients this model was validated on are not stated."))
    notes.append(
        gettext(
            "Decision support only; it does not replace a doctor. Not a certified medical device."
        )
    )
    return notes
