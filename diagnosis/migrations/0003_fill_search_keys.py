"""Readings made before get their search keys and age scope."""

from itertools import islice

from django.db import migrations
from django.db.models import TextField
from django.db.models.functions import Cast

from diagnosis.search import search_key

BATCH = 2000


def fill(apps, schema_editor):
    readings = apps.get_model("diagnosis", "Reading")._base_manager
    stated = readings.annotate(reasons=Cast("scope_reasons", TextField()))
    stated.filter(reasons__contains='"age"').update(age_scope="OUTSIDE")
    rows = readings.only("patient_name", "patient_number").order_by("pk").iterator(BATCH)
    while batch := list(islice(rows, BATCH)):
        for reading in batch:
            reading.patient_name_key = search_key(reading.patient_name)
            reading.patient_number_key = search_key(reading.patient_number)
        readings.bulk_update(batch, ["patient_name_key", "patient_number_key"], batch_size=500)


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0002_reviews_and_retention")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)]
