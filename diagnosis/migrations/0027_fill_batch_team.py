"""Batches sent before teams could be chosen go to the doctor's only team."""

from django.db import migrations, models


def keep_sole_team(apps, schema_editor):
    """Give each batch the team that its remaining files would have been shared with."""
    using = schema_editor.connection.alias
    memberships = apps.get_model("diagnosis", "TeamMembership").objects.using(using)
    batches = apps.get_model("diagnosis", "Batch").objects.using(using)
    found = memberships.order_by().values("user").annotate(n=models.Count("pk"), team=models.Min("team"))
    for row in found.filter(n=1).iterator():
        batches.filter(doctor_id=row["user"]).update(team_id=row["team"])


class Migration(migrations.Migration):

    dependencies = [
        ('diagnosis', '0026_file_names'),
    ]

    operations = [
        migrations.RunPython(keep_sole_team, migrations.RunPython.noop, elidable=True),
    ]
