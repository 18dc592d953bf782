from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0007_board_roles")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="show_heatmap",
            field=models.BooleanField(default=False, verbose_name="show the heatmap at once"),
        ),
    ]
