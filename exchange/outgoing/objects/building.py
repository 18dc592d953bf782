"""The DICOM objects of a reading, as files."""

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass

from django.conf import settings
from pydicom.dataset import Dataset

from diagnosis.models import Reading
from diagnosis.services.films import original_film
from diagnosis.services.reports import unnumbered_report
from exchange.outgoing.objects.context import Context, Kind, context_of, without_result
from exchange.outgoing.objects.document import encapsulated_pdf
from exchange.outgoing.objects.finishing import encoded, finished
from exchange.outgoing.objects.header import header_of
from exchange.outgoing.objects.pictures import film_capture, map_capture
from exchange.outgoing.objects.segments import segmentation
from exchange.outgoing.objects.structured import structured_report
from mlcore.decoding import decode_film


@dataclass(frozen=True)
class Made:
    """An object of a reading, ready to be sent.

    Attributes:
        kind: which object.
        sop_class, uid: its SOP Class UID and SOP Instance UID.
        transfer_syntax: how `data` is encoded.
        data: a DICOM file.
        sha256: of `data`; the same version of a result always has the same.
    """

    kind: Kind
    sop_class: str
    uid: str
    transfer_syntax: str
    data: bytes
    sha256: str


def kinds_of(context: Context, wanted: Collection[str]) -> list[Kind]:
    """Return which of the wanted objects a result has.

    The film itself goes along, if it is not known to others by UIDs of its own. A result out of
    scope has no heatmap.
    """
    chosen: list[Kind] = [kind for kind in Kind if kind in wanted and kind != Kind.FILM]
    if context.reading.is_out_of_scope:
        chosen = [kind for kind in chosen if kind not in (Kind.PICTURE, Kind.MAP)]
    return chosen if context.has_source else [Kind.FILM, *chosen]


def current(reading: Reading) -> Context:
    """Return the current version of a reading's result.

    Raises:
        FilmMissingError: the film is missing or altered.
    """
    original = original_film(reading)
    return context_of(reading, original, decode_film(original, in_turn=False))


def film_alone(reading: Reading) -> Made:
    """Make the film as an object, for those who may not see the result too.

    Raises:
        FilmMissingError: the film is missing or altered.
        FilmError: it cannot be decoded.
    """
    original = original_film(reading)
    film = decode_film(original, in_turn=False)
    header, has_source = header_of(reading, original)
    return made(without_result(reading, film, header, has_source=has_source), Kind.FILM)


def made(context: Context, kind: Kind) -> Made:
    """Make one object.

    Raises:
        ReportError: the report cannot be set.
    """
    if kind == Kind.FILM:
        context = context.of_film
    dataset = finished(_MAKERS[kind](context), context, kind)
    data = encoded(dataset)
    return Made(
        kind=kind,
        sop_class=str(dataset.SOPClassUID),
        uid=str(dataset.SOPInstanceUID),
        transfer_syntax=str(dataset.file_meta.TransferSyntaxUID),
        data=data,
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _document(context: Context) -> Dataset:
    pdf = unnumbered_report(
        reading=context.reading,
        languages=list(context.texts),
        url=f"{settings.SITE_URL}{context.reading.get_absolute_url()}",
        at=context.at,
    )
    return encapsulated_pdf(context, pdf)


_MAKERS: dict[Kind, Callable[[Context], Dataset]] = {
    Kind.FILM: film_capture,
    Kind.REPORT: structured_report,
    Kind.PICTURE: map_capture,
    Kind.MAP: segmentation,
    Kind.DOCUMENT: _document,
}
