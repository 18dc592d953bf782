"""A team may require its members to record their own opinion first."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0021_withheld")]

    operations = [
        migrations.AddField(
            model_name="team",
            name="blind_first",
            field=models.BooleanField(
                default=False,
                help_text=(
                    "Members record what they see before the model's result is sent to them, on "
                    "every X-ray that they upload from now on, whatever they chose in their "
                    "profile."
                ),
                verbose_name="own opinion before the model's result",
            ),
        ),
    ]
