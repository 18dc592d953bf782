"""Batches have the team that shares their readings; readings are found by their file's name."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('diagnosis', '0023_film_uids'),
    ]

    operations = [
        migrations.AddField(
            model_name='batch',
            name='team',
            field=models.ForeignKey(blank=True, editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='diagnosis.team', verbose_name='team'),
        ),
        migrations.AddIndex(
            model_name='reading',
            index=models.Index(condition=models.Q(('hidden_at__isnull', True)), fields=['doctor', 'original_name', 'hidden_at', 'id'], name='reading_own_file'),
        ),
    ]
