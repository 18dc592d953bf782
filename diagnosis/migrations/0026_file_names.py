"""Readings are found by their file's name."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('diagnosis', '0025_dicomweb_batches'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='reading',
            index=models.Index(condition=models.Q(('hidden_at__isnull', True)), fields=['doctor', 'original_name', 'hidden_at', 'id'], name='reading_own_file'),
        ),
    ]
