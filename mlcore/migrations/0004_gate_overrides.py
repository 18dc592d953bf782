from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("mlcore", "0003_immutable_versions")]

    operations = [
        migrations.AddField(
            model_name="modelversion",
            name="gate_overrides",
            field=models.JSONField(
                blank=True,
                default=dict,
                editable=False,
                help_text="Reasons by gate.",
                verbose_name="overridden activation gates",
            ),
        ),
    ]
