"""The headers of films, and the films that were sent over DICOMweb and wait."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('diagnosis', '0025_dicomweb_batches'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='FilmHeader',
            fields=[
                ('reading', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='film_header', serialize=False, to='diagnosis.reading')),
                ('attributes', models.JSONField(default=dict)),
                ('name', models.CharField(blank=True, max_length=400)),
                ('name_key', models.TextField(blank=True)),
            ],
            options={
                'verbose_name': 'header of an X-ray',
                'verbose_name_plural': 'headers of X-rays',
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='SentFilm',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('instance_uid', models.CharField(max_length=64)),
                ('doctor', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('item', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='sent_film', to='diagnosis.batchitem')),
            ],
            options={
                'verbose_name': 'X-ray sent over DICOMweb',
                'verbose_name_plural': 'X-rays sent over DICOMweb',
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('doctor', 'instance_uid'), name='sent_film_once')],
            },
        ),
    ]
