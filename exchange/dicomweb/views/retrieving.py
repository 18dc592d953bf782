"""WADO-RS: films, their frames, metadata, bulk data, and rendered films."""

from collections.abc import Callable, Iterator, Sequence

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.utils.translation import gettext as _

from accounts.audit.recording import record_shown
from diagnosis.models import Reading
from diagnosis.services.films import THUMBNAIL_SIDE, film_rendering
from diagnosis.serving import protected
from exchange import uids
from exchange.dicomweb import audit, headers
from exchange.dicomweb.accept import (
    ANY,
    DEFAULT_SYNTAXES,
    DICOM,
    FRAME_TYPES,
    OCTETS,
    Wanted,
    chosen,
    json_type,
)
from exchange.dicomweb.films import films_at
from exchange.dicomweb.metadata import bulk_value, metadata_of
from exchange.dicomweb.objects import ENDIAN, FilmObject, film_object
from exchange.dicomweb.parts import Part, alone, related
from exchange.dicomweb.pictures import FORMATS, asked_for
from exchange.dicomweb.queries import of_path
from exchange.dicomweb.views.access import DicomwebView
from exchange.dicomweb.views.searching import dicom_json


class RetrieveView(DicomwebView):
    """What all addresses of films have in common."""

    def films(self) -> list[Reading]:
        """Return the films at this address.

        Raises:
            Http404: there are none that the user may see, or no such frame.
        """
        if set(self.kwargs.get("frames", "1").split(",")) != {"1"}:
            raise Http404(_("X-rays have one frame, with the number 1."))
        path = [self.kwargs.get(name, "") for name in ("study", "series", "instance")]
        return films_at(self.user, of_path(*path), uid=next(filter(None, reversed(path))))

    @staticmethod
    def record(films: Sequence[Reading], what: str) -> None:
        """Record that films are given, which counts as viewing them."""
        record_shown(Reading, [film.pk for film in films], what=what)

    def address_of(self, film: Reading) -> str:
        return (
            f"{self.root}/studies/{uids.study_uid(film)}/series/{uids.series_uid(film)}"
            f"/instances/{uids.instance_uid(film)}"
        )

    def answered(
        self, films: Sequence[Reading], made: Callable[[Reading], Part], *, wanted: Wanted,
        type: str,
    ) -> HttpResponseBase:  # fmt: skip
        """Return one part, or several in a message that is made while it is sent.

        The first is made beforehand, so that an error is one of the whole answer. Later, an error
        cuts the message off: an incomplete study must not look complete.
        """
        first = made(films[0])
        if wanted.is_multipart is False and len(films) == 1:
            return protected(alone(first), "inline")

        def parts() -> Iterator[Part]:
            yield first
            for film in films[1:]:
                yield made(film)

        return protected(related(parts(), type), "inline")


class FilmsView(RetrieveView):
    """Films as DICOM objects: of a study, a series, or one."""

    def get(self, request: HttpRequest, **kwargs: str) -> HttpResponseBase:
        films = self.films()
        offers = [
            f'multipart/related; type="{DICOM}"; transfer-syntax={each}' for each in ("*", ENDIAN)
        ]
        wanted = chosen(request, lambda each: self._choice(each, films), offers)
        self.record(films, audit.FILM)
        syntax = wanted.syntax or DEFAULT_SYNTAXES[DICOM]

        def made(film: Reading) -> Part:
            found = film_object(film)
            given = found.syntax if syntax == "*" else syntax
            return Part(
                f"{DICOM}; transfer-syntax={given}", found.file(syntax), self.address_of(film)
            )

        return self.answered(films, made, wanted=wanted, type=DICOM)

    @staticmethod
    def _choice(each: Wanted, films: Sequence[Reading]) -> Wanted | None:
        if each.type not in (DICOM, ANY, "application/*"):
            return None
        if each.type != DICOM and each.is_multipart is False:
            each = Wanted(DICOM, "*", None)
        if each.is_multipart is False and len(films) > 1:
            return None
        if each.syntax in ("", "*", ENDIAN):
            return each
        kept = headers.with_headers(films)
        stored = {
            (kept[film.pk].attributes.get(headers.SYNTAX) or {}).get("Value", [""])[0]
            for film in films
            if film.pk in kept
        }
        return each if len(kept) == len(films) and stored == {each.syntax} else None


class MetadataView(RetrieveView):
    """Data sets without their bulk data."""

    def get(self, request: HttpRequest, **kwargs: str) -> HttpResponse:
        media_type = json_type(request)
        films = self.films()
        self.record(films, audit.HEADER)
        rows = [metadata_of(film_object(film), self.address_of(film)) for film in films]
        return dicom_json(rows, media_type)


class FramesView(RetrieveView):
    """The frame of a film: uncompressed, or as it is stored."""

    def get(self, request: HttpRequest, **kwargs: str) -> HttpResponseBase:
        film = self.films()[0]
        found = film_object(film)
        wanted, part = chosen(request, lambda each: self._choice(each, found), self._offers(found))
        self.record([film], audit.FILM)
        if wanted.is_multipart is False:
            return protected(alone(part), "inline")
        return protected(related([part], part.type.partition(";")[0]), "inline")

    def _choice(self, each: Wanted, found: FilmObject) -> tuple[Wanted, Part] | None:
        stored_type = found.frame_type
        is_any = each.type in (ANY, "application/*", "image/*")
        syntax = each.syntax or DEFAULT_SYNTAXES.get(each.type, "*")
        takes_stored = syntax in ("*", found.syntax) and (
            is_any or each.type in (stored_type, OCTETS)
        )
        if stored_type and takes_stored:
            return each, self._part(found, stored_type, found.syntax, found.stored_frame())
        if each.type in (OCTETS, ANY, "application/*") and syntax in ("*", ENDIAN):
            return each, self._part(found, OCTETS, ENDIAN, found.native_frame())
        return None

    def _part(self, found: FilmObject, type: str, syntax: str, content: bytes) -> Part:
        address = f"{self.address_of(found.reading)}/frames/1"
        return Part(f"{type}; transfer-syntax={syntax}", content, address)

    @staticmethod
    def _offers(found: FilmObject) -> list[str]:
        native = f'multipart/related; type="{OCTETS}"; transfer-syntax={ENDIAN}'
        kept = FRAME_TYPES.get(found.syntax)
        if not kept:
            return [native]
        return [native, f'multipart/related; type="{kept}"; transfer-syntax={found.syntax}']


class BulkDataView(RetrieveView):
    """A binary value that was left out of the metadata."""

    def get(self, request: HttpRequest, path: str, **kwargs: str) -> HttpResponseBase:
        film = self.films()[0]
        wanted = chosen(request, self._choice, [f'multipart/related; type="{OCTETS}"'])
        self.record([film], audit.FILM)
        value = bulk_value(film_object(film), path)
        if value is None:
            raise Http404(_("The X-ray has no such bulk data."))
        part = Part(OCTETS, value, f"{self.address_of(film)}/bulkdata/{path}")
        if wanted.is_multipart is False:
            return protected(alone(part), "inline")
        return protected(related([part], OCTETS), "inline")

    @staticmethod
    def _choice(each: Wanted) -> Wanted | None:
        is_known = each.type in (OCTETS, ANY, "application/*")
        return each if is_known and each.syntax in ("", "*", ENDIAN) else None


class RenderedView(RetrieveView):
    """Films as pictures."""

    def get(self, request: HttpRequest, **kwargs: str) -> HttpResponseBase:
        films = self.films()
        wanted, media_type = chosen(request, _picture_type, list(FORMATS))
        rendering = asked_for(request.GET, media_type)
        self.record(films, audit.RENDERED)

        def made(film: Reading) -> Part:
            return Part(media_type, rendering.picture(film), f"{self.address_of(film)}/rendered")

        if wanted.is_multipart is None:
            wanted = Wanted(media_type)
        return self.answered(films, made, wanted=wanted, type=media_type)


class ThumbnailView(RetrieveView):
    """A small picture of a film; of a study or series, that of its newest film."""

    def get(self, request: HttpRequest, **kwargs: str) -> HttpResponseBase:
        chosen(request, self._choice, ["image/jpeg"])
        film = self.films()[0]
        self.record([film], audit.THUMBNAIL)
        content = film_rendering(film, max_side=THUMBNAIL_SIDE)
        return protected(alone(Part("image/jpeg", content)), "inline")

    @staticmethod
    def _choice(each: Wanted) -> Wanted | None:
        found = _picture_type(each)
        return each if found is not None and found[1] == "image/jpeg" else None


def _picture_type(each: Wanted) -> tuple[Wanted, str] | None:
    if each.type in (ANY, "image/*"):
        return each, "image/jpeg"
    return (each, each.type) if each.type in FORMATS else None
