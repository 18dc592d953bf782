from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0009_audit_mentions")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="roc_years",
            field=models.BooleanField(
                default=False, verbose_name="show years of the Republic of China (ROC)"
            ),
        ),
    ]
