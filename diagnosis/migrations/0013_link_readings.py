"""Readings made before get their patients and studies, by number.

Readings with one number are of one patient if the names agree. Under other names, they are another
patient whose number is disputed. Readings without a number are a patient each.
"""

import uuid
from itertools import groupby

from django.db import migrations

from diagnosis.search import number_key
from diagnosis.services.patients import is_same_name

BATCH = 2000
FIELDS = (
    "pk", "patient_number_key", "patient_number", "patient_name", "patient_birth_date",
    "patient_sex", "exam_date",
)  # fmt: skip


class Writer:
    """Collects new rows and writes them in batches."""

    def __init__(self, apps, connection):
        self.patients, self.studies = (
            apps.get_model("diagnosis", name) for name in ("Patient", "Study")
        )
        self.connection = connection
        self.readings = apps.get_model("diagnosis", "Reading")
        self.new_patients, self.new_studies, self.links = [], [], []

    def patient(self, row, *, is_disputed):
        patient = self.patients(
            id=uuid.uuid4(), number=row[2], name=row[3], birth_date=row[4], sex=row[5],
            number_disputed=is_disputed,
        )  # fmt: skip
        self.new_patients.append(patient)
        return patient

    def study(self, patient, exam_date):
        study = self.studies(id=uuid.uuid4(), patient=patient, exam_date=exam_date)
        self.new_studies.append(study)
        return study

    def link(self, pk, study):
        self.links.append((study.pk, pk))

    def write(self, *, least=1):
        if len(self.links) < least:
            return
        self.patients._base_manager.bulk_create(self.new_patients, batch_size=100)
        self.studies._base_manager.bulk_create(self.new_studies, batch_size=100)
        quote, fields = self.connection.ops.quote_name, self.readings._meta
        statement = (
            f"UPDATE {quote(fields.db_table)} SET {quote('study_id')} = %s "  # noqa: S608
            f"WHERE {quote('id')} = %s"
        )
        key = fields.pk
        with self.connection.cursor() as cursor:
            cursor.executemany(
                statement,
                [
                    [key.get_db_prep_value(value, self.connection) for value in link]
                    for link in self.links
                ],
            )
        self.new_patients, self.new_studies, self.links = [], [], []


def link_group(writer, rows, known=()):
    """Link readings with the same number.

    Args:
        writer: where new rows go.
        rows: values of FIELDS, oldest first.
        known: patients who have the number already.
    """
    found = [
        (patient, {patient.name}, {study.exam_date: study for study in patient.studies.all()})
        for patient in known
    ]
    for row in rows:
        matching = [
            entry for entry in found if any(is_same_name(name, row[3]) for name in entry[1])
        ]
        if matching:
            patient, names, studies = matching[0]
            patient.birth_date = patient.birth_date or row[4]
            patient.sex = patient.sex or row[5]
        else:
            patient, names, studies = writer.patient(row, is_disputed=bool(found)), set(), {}
            found.append((patient, names, studies))
        names.add(row[3])
        if row[6] not in studies:
            studies[row[6]] = writer.study(patient, row[6])
        writer.link(row[0], studies[row[6]])


def link(apps, schema_editor):
    connection = schema_editor.connection
    writer = Writer(apps, connection)
    readings = writer.readings._base_manager.using(connection.alias).filter(study__isnull=True)
    oldest = readings.order_by("patient_number_key", "created_at", "id").values_list(*FIELDS)
    for row in readings.filter(patient_number_key="").values_list(*FIELDS).iterator(BATCH):
        writer.link(row[0], writer.study(writer.patient(row, is_disputed=False), row[6]))
        writer.write(least=BATCH)
    numbered = oldest.exclude(patient_number_key="")
    spaced = numbered.filter(patient_number_key__contains=" ")
    rows = numbered.exclude(patient_number_key__contains=" ").iterator(BATCH)
    for _number, group in groupby(rows, key=lambda row: row[1]):
        link_group(writer, group)
        writer.write(least=BATCH)
    writer.write()
    for _number, group in groupby(spaced.iterator(BATCH), key=lambda row: row[1]):
        rows = list(group)
        known = writer.patients._base_manager.filter(number_key=number_key(rows[0][2]))
        link_group(writer, rows, list(known.order_by("created_at", "id")))
        writer.write()


def unlink(apps, schema_editor):
    alias = schema_editor.connection.alias
    models = {name: apps.get_model("diagnosis", name) for name in (
        "Reading", "PatientOperation", "Study", "Patient",
    )}  # fmt: skip
    models["Reading"]._base_manager.using(alias).update(study=None)
    models["Patient"]._base_manager.using(alias).update(merged_into=None)
    for name in ("PatientOperation", "Study", "Patient"):
        everything = models[name]._base_manager.using(alias).all()
        everything._raw_delete(alias)


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0012_patients")]
    operations = [migrations.RunPython(link, unlink, elidable=True)]
