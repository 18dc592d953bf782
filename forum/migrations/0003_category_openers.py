"""Who may open topics in a category; announcements are the supervisors'."""

from django.db import migrations, models
from django.db.models import Q


def keep_announcements(apps, schema_editor):
    """Leave topics in the shipped category for announcements, however renamed, to supervisors."""
    category = apps.get_model("forum", "Category")
    shipped = Q(name_en="Announcements") | Q(name_zh_hant="公告")
    category.objects.filter(shipped).update(opened_by="SUPERVISORS")


class Migration(migrations.Migration):
    dependencies = [("forum", "0002_search_and_categories")]

    operations = [
        migrations.AddField(
            model_name="category",
            name="opened_by",
            field=models.CharField(
                choices=[("EVERYONE", "Everyone"), ("SUPERVISORS", "Supervisors only")],
                default="EVERYONE",
                help_text="Everyone can reply to every topic.",
                max_length=11,
                verbose_name="who may open topics",
            ),
        ),
        migrations.RunPython(keep_announcements, migrations.RunPython.noop),
    ]
