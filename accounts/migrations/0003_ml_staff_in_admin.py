from django.db import migrations

from accounts import roles


def let_ml_staff_in(apps, schema_editor):
    """Lets ML staff choose the model that reads films, in the admin."""
    roles.install(apps)
    user = apps.get_model("accounts", "User")
    user.objects.filter(groups__name=roles.ML_STAFF).update(is_staff=True)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_roles"),
        ("mlcore", "0002_activate_permission"),
    ]

    operations = [migrations.RunPython(let_ml_staff_in, migrations.RunPython.noop)]
