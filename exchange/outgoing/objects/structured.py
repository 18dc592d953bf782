"""The structured report: TID 1500, with the model's result and the doctor's opinion.

The document's observer is the model, as a device. A doctor's opinion has a measurement group of its
own whose observer is the doctor; the document is not verified, because the doctor signs the opinion
and not the model's result.
"""

import uuid
from collections.abc import Mapping
from typing import Any

from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    CodedConcept,
    Comprehensive3DSR,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    LanguageOfContentItemAndDescendants,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    PersonObserverIdentifyingAttributes,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from diagnosis.models import (
    Agreement,
    Confidence,
    Finding,
    Label,
    Lobe,
    Opinion,
    Reading,
    Side,
    Verdict,
    agreement_of,
)
from exchange.outgoing import codes as ours
from exchange.outgoing.objects.context import MANUFACTURER, Context, Kind, uid_of
from exchange.outgoing.objects.header import UTF8, person_name, put

# Namespace of the UIDs of models, by the hash of their bundle.
_MODELS = uuid.UUID("6f1b6f0e-55a2-4c8e-9f39-0d5b5d3c7a11")
SUPPORT = "Decision support, not a diagnosis. It does not replace a doctor."


def structured_report(context: Context) -> Dataset:
    """Return the Comprehensive 3D SR of a result."""
    groups = [_model_group(context)]
    groups += [_opinion_group(context, opinion) for opinion in context.opinions]
    content = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=_device(context.reading)),
        procedure_reported=ours.CHEST_XRAY,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
        language_of_content_item_and_descendants=LanguageOfContentItemAndDescendants(
            CodedConcept("en", "RFC5646", "English")
        ),
        referenced_images=_library(context),
    )
    return Comprehensive3DSR(
        evidence=[context.unnamed],
        content=content[0],
        is_complete=True,
        is_final=bool(context.opinions),
        coding_schemes=ours.coding_schemes(),
        specific_character_set=UTF8,
        **context.series(Kind.REPORT),
    )


def _library(context: Context) -> list[Dataset] | None:
    """Return the images of the image library, whose description needs these attributes."""
    described = ("PatientOrientation", "ImagerPixelSpacing")
    if context.has_source and all(len(context.header.get(each) or "") == 2 for each in described):
        return [context.unnamed]
    return None


def _device(reading: Reading) -> ObserverContext:
    return ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=f"2.25.{uuid.uuid5(_MODELS, reading.bundle_sha256).int}",
            name=reading.model_name,
            manufacturer_name=MANUFACTURER,
            model_name=reading.model_name,
            serial_number=reading.bundle_sha256,
        ),
    )


def _model_group(context: Context) -> MeasurementsAndQualitativeEvaluations:
    reading = context.reading
    label = Label(reading.label)
    evaluations = [
        QualitativeEvaluation(ours.PRESENCE, ours.PRESENCE_OF[label]),
        QualitativeEvaluation(ours.MODEL_RESULT, ours.LABELS[label]),
    ]
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=uid_of(reading, "tracking", "model"), identifier="AI model"
        ),
        finding_type=ours.PNEUMONIA,
        algorithm_id=_algorithm(reading),
        finding_sites=[FindingSite(ours.LUNG)],
        measurements=_measurements(reading),
        qualitative_evaluations=evaluations,
        source_images=[_source(context)],
    )
    texts = context.texts["en"]
    lines = [SUPPORT, *texts.result_lines, *texts.reasons]
    if texts.figures is not None:
        lines.append(texts.figures.rule)
    group[0].ContentSequence.append(_comment(" ".join(lines)))
    return group


def _algorithm(reading: Reading) -> AlgorithmIdentification:
    return AlgorithmIdentification(
        name=reading.model_name,
        version=f"sha256:{reading.bundle_sha256}",
        family=codes.DCM.ArtificialIntelligence,
        manufacturer=MANUFACTURER,
        parameters=[SUPPORT, f"preprocessing {reading.preprocessing_id}"],
    )


def _measurements(reading: Reading) -> list[Measurement] | None:
    """Return probability and limits; a film out of scope has none."""
    if reading.is_out_of_scope:
        return None
    values = [(ours.PROBABILITY, reading.probability)]
    if reading.limits is not None:
        values += zip((ours.NORMAL_BELOW, ours.PNEUMONIA_FROM), reading.limits, strict=True)
    return [Measurement(name, round(value, 6), ours.UNITLESS) for name, value in values]


def _source(context: Context) -> SourceImageForMeasurementGroup:
    return SourceImageForMeasurementGroup(
        referenced_sop_class_uid=context.header.SOPClassUID,
        referenced_sop_instance_uid=context.header.SOPInstanceUID,
    )


def _opinion_group(context: Context, opinion: Opinion) -> MeasurementsAndQualitativeEvaluations:
    evaluations = [QualitativeEvaluation(ours.IMPRESSION, ours.VERDICTS[Verdict(opinion.verdict)])]
    if opinion.confidence:
        confidence = ours.CONFIDENCES[Confidence(opinion.confidence)]
        evaluations.append(QualitativeEvaluation(ours.CONFIDENCE, confidence))
    agreement = agreement_of(context.reading.label, opinion.verdict)
    if agreement:
        found = ours.AGREEMENTS[Agreement(agreement)]
        evaluations.append(QualitativeEvaluation(ours.AGREEMENT, found))
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=uid_of(context.reading, "tracking", f"opinion {opinion.pk}"),
            identifier="Doctor's opinion",
        ),
        qualitative_evaluations=evaluations,
        source_images=[_source(context)],
    )
    container = group[0]
    container.ObservationDateTime = opinion.recorded_at.astimezone(context.at.tzinfo).strftime(
        "%Y%m%d%H%M%S%z"
    )
    observer = ObserverContext(
        observer_type=codes.DCM.Person,
        observer_identifying_attributes=_person(opinion),
    )
    for place, item in enumerate(observer):
        container.ContentSequence.insert(place, item)
    container.ContentSequence.extend(_findings(opinion))
    if opinion.note:
        container.ContentSequence.append(_comment(opinion.note))
    container.ContentSequence.append(_comment(_signature(context, opinion)))
    return group


def _person(opinion: Opinion) -> PersonObserverIdentifyingAttributes:
    author = opinion.author
    items = PersonObserverIdentifyingAttributes(name="", organization_name=author.hospital or None)
    # Set afterwards: highdicom warns of names without a given name.
    put(items[0], "PersonName", person_name(author.display_name))
    return items


def _signature(context: Context, opinion: Opinion) -> str:
    """Return who signed when, as the report states it."""
    statement = context.texts["en"].assessment[context.opinions.index(opinion)]
    return statement.recorded


def _findings(opinion: Opinion) -> list[CodeContentItem]:
    return [_finding(each) for each in opinion.findings]


def _finding(stored: Mapping[str, Any]) -> CodeContentItem:
    """Return a finding with its sides or lobes, and the doctor's few words about it."""
    item = CodeContentItem(
        name=ours.FINDING,
        value=ours.FINDINGS[Finding(stored["code"])],
        relationship_type=RelationshipTypeValues.CONTAINS,
    )
    content = ContentSequence()
    for lobe in stored.get("lobes", ()):
        content.append(FindingSite(*ours.LOBES[Lobe(lobe)]))
    if stored.get("side") and not stored.get("lobes"):
        content.append(
            CodeContentItem(
                name=ours.LATERALITY,
                value=ours.SIDES[Side(stored["side"])],
                relationship_type=RelationshipTypeValues.HAS_CONCEPT_MOD,
            )
        )
    if stored.get("text"):
        content.append(_comment(stored["text"], RelationshipTypeValues.HAS_PROPERTIES))
    if content:
        item.ContentSequence = content
    return item


def _comment(
    text: str, relationship: RelationshipTypeValues = RelationshipTypeValues.CONTAINS
) -> TextContentItem:
    return TextContentItem(name=ours.COMMENT, value=text, relationship_type=relationship)
