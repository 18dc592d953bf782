"""Readings have the DICOM UIDs of their file."""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('diagnosis', '0022_team_blind_first'),
        ('mlcore', '0004_gate_overrides'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='reading',
            name='film_instance_uid',
            field=models.CharField(blank=True, editable=False, max_length=64, verbose_name='SOP Instance UID in the file'),
        ),
        migrations.AddField(
            model_name='reading',
            name='film_series_uid',
            field=models.CharField(blank=True, editable=False, max_length=64, verbose_name='Series Instance UID in the file'),
        ),
        migrations.AddField(
            model_name='reading',
            name='film_sop_class_uid',
            field=models.CharField(blank=True, editable=False, max_length=64, verbose_name='SOP Class UID in the file'),
        ),
        migrations.AddField(
            model_name='reading',
            name='film_study_uid',
            field=models.CharField(blank=True, editable=False, max_length=64, verbose_name='Study Instance UID in the file'),
        ),
        migrations.AddIndex(
            model_name='reading',
            index=models.Index(condition=models.Q(('film_study_uid', ''), _negated=True), fields=['film_study_uid', 'film_series_uid', 'film_instance_uid'], name='reading_film_study'),
        ),
        migrations.AddIndex(
            model_name='reading',
            index=models.Index(condition=models.Q(('film_series_uid', ''), _negated=True), fields=['film_series_uid'], name='reading_film_series'),
        ),
        migrations.AddIndex(
            model_name='reading',
            index=models.Index(condition=models.Q(('film_instance_uid', ''), _negated=True), fields=['film_instance_uid'], name='reading_film_instance'),
        ),
    ]
