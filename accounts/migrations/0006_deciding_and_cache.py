"""Supervisors decide who gets in; failed sign-ins are counted in the database."""

from django.core.management import call_command
from django.db import migrations

from accounts import roles

CACHE_TABLE = "xraysite_cache"


def install(apps, schema_editor):
    roles.install(apps)


def create_cache_table(apps, schema_editor):
    """Makes the table that `CACHES` names; one that exists is kept."""
    call_command(
        "createcachetable", CACHE_TABLE, database=schema_editor.connection.alias, verbosity=0
    )


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0005_carry_over"),
        ("diagnosis", "0001_initial"),
        ("mlcore", "0002_activate_permission"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="user",
            options={
                "permissions": [("decide_user", "Can decide who gets in")],
                "verbose_name": "account",
                "verbose_name_plural": "accounts",
            },
        ),
        migrations.RunPython(install, migrations.RunPython.noop),
        migrations.RunPython(create_cache_table, migrations.RunPython.noop),
    ]
