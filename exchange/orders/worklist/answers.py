"""Orders as the answers of a worklist, in the character set that the machine asked for."""

import datetime
from copy import deepcopy
from typing import Any

from pydicom.charset import python_encoding
from pydicom.dataelem import DataElement, empty_value_for_VR
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from exchange.orders import names
from exchange.orders.models import Order, PerformedStep

UTF_8 = "ISO_IR 192"


def answer_of(order: Order, *, zone: datetime.tzinfo, station: str) -> Dataset:
    """Return everything that is known of an order, in Unicode.

    Args:
        order: with its steps.
        zone: the time zone of dates and times.
        station: the AE title of the machine that asks; stated for orders of any machine.
    """
    at = order.scheduled_at.astimezone(zone)
    step = Dataset()
    step.ScheduledStationAETitle = order.station_ae_title or station
    step.ScheduledProcedureStepStartDate = f"{at:%Y%m%d}"
    step.ScheduledProcedureStepStartTime = f"{at:%H%M%S}"
    step.Modality = order.modality
    step.ScheduledPerformingPhysicianName = ""
    step.ScheduledProcedureStepDescription = order.procedure
    step.ScheduledProcedureStepID = order.accession_number
    step.ScheduledProcedureStepLocation = ""
    step.ScheduledProcedureStepStatus = "STARTED" if _is_begun(order) else "SCHEDULED"
    step.BodyPartExamined = order.body_part
    answer = Dataset()
    answer.AccessionNumber = order.accession_number
    answer.PatientName = names.person_name(
        order.name_latin, order.name_ideographic, order.name_phonetic
    )
    answer.PatientID = order.patient_number
    answer.PatientBirthDate = f"{order.birth_date:%Y%m%d}" if order.birth_date else ""
    answer.PatientSex = order.sex
    answer.ReferringPhysicianName = answer.RequestingPhysician = _written(order.referring_doctor)
    answer.StudyInstanceUID = order.study_uid
    answer.RequestedProcedureID = order.accession_number
    answer.RequestedProcedureDescription = order.procedure
    answer.RequestedProcedurePriority = ""
    answer.BodyPartExamined = order.body_part
    answer.ScheduledProcedureStepSequence = Sequence([step])
    answer.TimezoneOffsetFromUTC = f"{at:%z}"
    return answer


def _written(name: str) -> str:
    """Return a person's name in the group of its script."""
    group = names.as_group(name)
    return names.person_name("", group) if names.is_ideographic(group) else group


def _is_begun(order: Order) -> bool:
    return any(step.status == PerformedStep.Status.IN_PROGRESS for step in order.steps.all())


def returned(query: Dataset, answer: Dataset) -> Dataset:
    """Return the elements of an answer that a query asks for; empty where nothing is known."""
    found = Dataset()
    for element in query:
        if element.keyword == "SpecificCharacterSet" or element.tag.element == 0:
            continue
        known = answer.get(element.tag)
        if known is None:
            empty = [] if element.VR == "SQ" else empty_value_for_VR(element.VR)
            found.add(DataElement(element.tag, element.VR, empty))
        elif element.VR == "SQ" and element.value and len(element.value[0]):
            items = [returned(element.value[0], item) for item in known.value]
            found.add(DataElement(element.tag, "SQ", Sequence(items)))
        else:
            found.add(deepcopy(known))
    return found


def in_character_set(answer: Dataset, asked: Any) -> Dataset:
    """State the character set of an answer: the one that was asked for if it has every character.

    Otherwise it is UTF-8: a name is never sent with characters replaced.

    Args:
        asked: SpecificCharacterSet of the query, None if it states none.
    """
    wanted = [str(one) for one in ([asked] if isinstance(asked, str) else asked or [])]
    fits = bool(wanted) and all(_fits(text, wanted) for text in _texts(answer))
    answer.SpecificCharacterSet = wanted if fits else UTF_8
    return answer


def _texts(answer: Dataset) -> list[str]:
    kinds = ("PN", "LO", "SH", "ST", "LT", "UT", "UC")
    return [str(each.value or "") for each in answer.iterall() if each.VR in kinds]


def _fits(text: str, character_sets: list[str]) -> bool:
    """Return whether a text can be written in the character sets of a query."""
    encodings = [python_encoding.get(one or "ISO_IR 6", "") for one in character_sets]
    if not all(encodings):
        return False
    return all(any(_is_in(letter, encoding) for encoding in encodings) for letter in text)


def _is_in(letter: str, encoding: str) -> bool:
    # "iso8859" stands for the default repertoire, which is ASCII alone.
    try:
        letter.encode("ascii" if encoding == "iso8859" else encoding)
    except UnicodeEncodeError:
        return False
    return True
