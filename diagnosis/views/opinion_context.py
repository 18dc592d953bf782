"""What the pages of a reading show of opinions: forms, record, confirmed diagnosis."""

from typing import Any

from accounts.models import User
from diagnosis.forms.opinions import DiagnosisForm, OpinionForm, initial_of
from diagnosis.models import ConfirmedDiagnosis, Opinion, Reading, Review, Stage
from diagnosis.services import opinions, second_readings


def opinion_context(
    reading: Reading,
    user: User,
    *,
    opinion_form: OpinionForm | None = None,
    diagnosis_form: DiagnosisForm | None = None,
) -> dict[str, Any]:
    """Return the context of `diagnosis/_opinion.html` and of the report.

    Args:
        reading: the reading, sealed where the answer is withheld from `user`.
        user: who looks at the page.
        opinion_form, diagnosis_form: forms with errors, to be shown again.

    Returns:
        `review`: the assessment that counts, None before the first; `opinions`: all that were
        recorded, oldest first; `signed`: the signed one; `addenda`; `diagnosis`: the confirmed one.
        `stage`, `opinion_form` and `draft`: for the reading's doctor. `diagnosis_form`: for those
        who may record one now.
    """
    review = Review.objects.filter(reading=reading).select_related("doctor").first()
    recorded = list(Opinion.objects.filter(reading=reading).select_related("author"))
    if reading.is_sealed and reading.doctor_id != user.pk:
        review, recorded = None, []  # of somebody who may be asked for an independent opinion
    diagnosis = (
        ConfirmedDiagnosis.objects.filter(reading=reading).select_related("recorded_by").first()
    )
    context: dict[str, Any] = {
        "review": review,
        "opinions": recorded,
        "first_opinion": next((one for one in recorded if one.stage == Stage.FIRST), None),
        "signed": next((one for one in recorded if one.stage == Stage.SIGNED), None),
        "arbiter_opinion": next((one for one in recorded if one.stage == Stage.ARBITER), None),
        "addenda": [one for one in recorded if one.stage == Stage.ADDENDUM],
        "diagnosis": diagnosis,
    }
    if not reading.is_sealed and not reading.is_hidden:
        context["diagnosis_form"] = diagnosis_form or DiagnosisForm(instance=diagnosis)
    if reading.doctor_id == user.pk and not reading.is_hidden:
        context |= _form_context(reading, user, review, opinion_form)
    return context


def _form_context(
    reading: Reading, doctor: User, review: Review | None, form: OpinionForm | None
) -> dict[str, Any]:
    stage = opinions.next_stage(reading, review)
    draft = opinions.draft_of(reading, doctor)
    initial: dict[str, Any] = {}
    if draft is not None:
        initial = draft.content
    elif review is not None:
        initial = initial_of(review, with_note=stage != Stage.ADDENDUM)
    return {
        "stage": stage,
        "draft": draft,
        "opinion_form": form or OpinionForm(initial=initial, stage=stage),
    }


def second_context(reading: Reading, user: User, form: OpinionForm | None = None) -> dict[str, Any]:
    """Return the context of `diagnosis/_second_reading.html`.

    Args:
        form: a form with errors, to be shown again.

    Returns:
        `asked`: the `Stage` that is asked of `user`, None if nothing is; `second_form`: its form.
    """
    if reading.second_state is None or reading.is_hidden:
        return {}
    asked = second_readings.asked_of(user, reading)
    if asked is None:
        return {"asked": None}
    return {"asked": asked, "second_form": form or OpinionForm(stage=asked)}
