"""The personal setting to record one's own opinion before the model's result is shown."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0010_roc_years")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="blind_first",
            field=models.BooleanField(
                default=False, verbose_name="own opinion before the model's result"
            ),
        ),
    ]
