"""Roles on the discussion board."""

from django.db import migrations

from accounts import roles


def install(apps, schema_editor):
    roles.install(apps)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0006_deciding_and_cache"),
        ("forum", "0001_initial"),
    ]

    operations = [migrations.RunPython(install, migrations.RunPython.noop)]
