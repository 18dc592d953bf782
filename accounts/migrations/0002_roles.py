from django.db import migrations

from accounts import roles


def install(apps, schema_editor):
    roles.install(apps)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("auditlog", "0017_add_actor_email"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("diagnosis", "0001_initial"),
        ("mlcore", "0001_initial"),
    ]

    operations = [migrations.RunPython(install, migrations.RunPython.noop)]
