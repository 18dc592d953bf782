"""Batches may have been sent over DICOMweb."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('diagnosis', '0024_batch_source'),
    ]

    operations = [
        migrations.AlterField(
            model_name='batch',
            name='source',
            field=models.CharField(choices=[('UPLOAD', 'Uploaded'), ('MACHINE', 'From an X-ray machine'), ('DICOMWEB', 'Sent over DICOMweb')], default='UPLOAD', max_length=8, verbose_name='source'),
        ),
    ]
