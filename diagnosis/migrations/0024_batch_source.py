"""Batches say who sent their files."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('diagnosis', '0023_film_uids'),
    ]

    operations = [
        migrations.AddField(
            model_name='batch',
            name='source',
            field=models.CharField(choices=[('UPLOAD', 'Uploaded'), ('MACHINE', 'From an X-ray machine')], default='UPLOAD', max_length=8, verbose_name='source'),
        ),
        migrations.AddField(
            model_name='batch',
            name='team',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='diagnosis.team', verbose_name='team'),
        ),
    ]
