"""Readings made before get the MIME type of their file's format."""

from django.db import migrations

# As `services.films.MIME_TYPES` was when this was written.
MIME_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
    "WEBP": "image/webp",
    "DICOM": "application/dicom",
}


def fill(apps, schema_editor):
    readings = apps.get_model("diagnosis", "Reading")._base_manager
    for format, mime_type in MIME_TYPES.items():
        readings.filter(film_format=format, film_mime_type="").update(film_mime_type=mime_type)


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0006_patient_and_film")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)]
