"""An index of the objects that list views showed, and names that are no role badge."""

import django.db.models.deletion
from django.db import migrations, models

import accounts.names

SHOWN = "readings"
BATCH = 2000


def index_earlier_lists(apps, schema_editor):
    """Index the lists of readings that were recorded before the index existed.

    Their rows stay as they are: only the index is new.
    """
    entry_model = apps.get_model("accounts", "AuditEntry")
    mention_model = apps.get_model("accounts", "AuditMention")
    rows = entry_model.objects.filter(what="admin list").only("pk", "additional_data")
    waiting = []
    for entry in rows.iterator(chunk_size=BATCH):
        keys = (entry.additional_data or {}).get(SHOWN)
        if isinstance(keys, list):
            waiting += [mention_model(entry=entry, object_pk=key) for key in dict.fromkeys(keys)]
        if len(waiting) >= BATCH:
            mention_model.objects.bulk_create(waiting, batch_size=BATCH)
            waiting = []
    mention_model.objects.bulk_create(waiting, batch_size=BATCH)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0008_show_heatmap")]

    operations = [
        migrations.CreateModel(
            name="AuditMention",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("object_pk", models.CharField(max_length=255)),
                (
                    "entry",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="mentions",
                        to="accounts.auditentry",
                    ),
                ),
            ],
            options={"default_permissions": ()},
        ),
        migrations.AddConstraint(
            model_name="auditmention",
            constraint=models.UniqueConstraint(
                fields=("entry", "object_pk"), name="audit_mention_once"
            ),
        ),
        migrations.AddIndex(
            model_name="auditmention",
            index=models.Index(fields=["object_pk", "-entry"], name="audit_mention_object"),
        ),
        migrations.AlterField(
            model_name="user",
            name="display_name",
            field=models.CharField(
                max_length=80,
                validators=[accounts.names.validate_display_name],
                verbose_name="name",
            ),
        ),
        migrations.RunPython(index_earlier_lists, migrations.RunPython.noop),
    ]
