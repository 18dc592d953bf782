"""What the product understands of a file, without a model."""

import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from PIL import Image

from mlcore.decoding import decode_film
from mlcore.engine.data.population import PUBLIC_PAEDIATRIC, header_reasons
from mlcore.engine.films.film import Film, FilmError
from mlcore.engine.films.header import DicomHeader
from mlcore.engine.films.notices import NOTICES
from mlcore.management.commands._common import write_json
from xraysite.common.decoders.errors import DecoderUnavailableError


class Command(BaseCommand):
    help = (
        "Show what is read of films, without a model: format, patient, view, notices. A file that "
        "is not a readable film gets an error; the rest continues. Exits with 1 if every file "
        "failed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="X-ray to read")
        parser.add_argument(
            "--json", type=Path, help="file to write the results to (default: none)"
        )
        parser.add_argument(
            "--png",
            type=Path,
            metavar="DIR",
            help="folder to write each film to as it is shown: 8 bits, FILE.png (default: none)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        folder: Path | None = options["png"]
        if folder:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise CommandError(f"{folder} cannot be created: {error.strerror}.") from error
        results = []
        for path in options["files"]:
            result = inspected(path, folder)
            results.append(result)
            self.stdout.write(_line(result))
        if options["json"]:
            write_json(options["json"], results)
        if all("error" in result for result in results):
            raise CommandError("No file is a readable film.")


def inspected(path: Path, folder: Path | None = None) -> dict[str, Any]:
    """Return the entry of one file in the JSON results.

    Args:
        path: the file.
        folder: where to write the film as a PNG; None writes nothing.
    """
    started = time.perf_counter()
    try:
        film = decode_film(
            path.read_bytes(),
            max_bytes=settings.FILM_MAX_BYTES,
            max_pixels=settings.FILM_MAX_PIXELS,
        )
        seconds = time.perf_counter() - started
        if folder:
            Image.fromarray(film.pixels).save(folder / f"{path.name}.png")
    except FilmError as error:
        return {"file": str(path), "error": str(error)}
    except DecoderUnavailableError as error:
        return {"file": str(path), "error": f"No decoder process can be started: {error}"}
    except OSError as error:
        return {"file": str(path), "error": error.strerror or str(error)}
    return {"file": str(path), **_stated(film), "seconds": round(seconds, 4)}


def _stated(film: Film) -> dict[str, Any]:
    header = film.header or DicomHeader()
    spacing = header.pixel_spacing_mm
    return {
        "format": film.format,
        "rows": film.height,
        "columns": film.width,
        "bits": film.source_bits,
        "photometric": film.photometric or None,
        "frames": film.frames,
        "patient_name": header.patient_name,
        "patient_id": header.patient_id,
        "age_years": header.age_years,
        "birth_date": header.birth_date and header.birth_date.isoformat(),
        "exam_date": header.study_date and header.study_date.isoformat(),
        "modality": header.modality,
        "view": header.view_position,
        "body_part": header.body_part,
        "pixel_spacing_mm": list(spacing) if spacing else None,
        "charset": header.charset,
        "scope_reasons": list(header_reasons(PUBLIC_PAEDIATRIC, header)),
        "warnings": [NOTICES[code] for code in film.notices],
    }


def _line(result: dict[str, Any]) -> str:
    if "error" in result:
        return f"{result['file']}: {result['error']}"
    facts = [
        f"{result['format']}, {result['columns']} × {result['rows']}, {result['bits']} bits",
        *(
            f"{name.replace('_', ' ')} {result[name]}"
            for name in ("patient_name", "age_years", "exam_date", "modality", "view", "body_part")
            if result[name] is not None
        ),
    ]
    if result["scope_reasons"]:
        facts.append(f"out of scope: {', '.join(result['scope_reasons'])}")
    return f"{result['file']}: {'; '.join(facts)}" + "".join(
        f"\n  {warning}" for warning in result["warnings"]
    )
