"""Require the opinion that an assessment repeats."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0016_carry_reviews_over")]

    operations = [
        migrations.AlterField(
            model_name="review",
            name="opinion",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="diagnosis.opinion",
            ),
        ),
    ]
