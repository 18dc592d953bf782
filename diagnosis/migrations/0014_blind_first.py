"""Blind-first readings: whether and until when the model's result is withheld."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0013_link_readings")]

    operations = [
        migrations.AddField(
            model_name="reading",
            name="blind_first",
            field=models.BooleanField(
                default=False, editable=False, verbose_name="the doctor's opinion comes first"
            ),
        ),
        migrations.AddField(
            model_name="reading",
            name="withheld",
            field=models.BooleanField(
                default=False, editable=False, verbose_name="the model's result is withheld"
            ),
        ),
        migrations.AddField(
            model_name="reading",
            name="opened_at",
            field=models.DateTimeField(
                blank=True, editable=False, null=True, verbose_name="opened by the doctor at"
            ),
        ),
        migrations.AddField(
            model_name="reading",
            name="answer_shown_at",
            field=models.DateTimeField(
                blank=True,
                editable=False,
                null=True,
                verbose_name="the model's result available since",
            ),
        ),
        migrations.AddIndex(
            model_name="reading",
            index=models.Index(
                condition=models.Q(("withheld", True)),
                fields=["withheld", "doctor", "id"],
                name="reading_withheld",
            ),
        ),
    ]
