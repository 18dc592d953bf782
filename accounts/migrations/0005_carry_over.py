"""Rows written before the log was sealed join the chain; accounts in use keep getting in."""

import json

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import migrations

from accounts import roles
from accounts.audit.models import mac

COPIED = (
    "content_type_id", "object_pk", "object_id", "object_repr", "serialized_data", "action",
    "changes_text", "changes", "cid", "remote_addr", "remote_port", "timestamp", "actor_email",
)  # fmt: skip
WHAT = {0: "created", 1: "changed", 2: "deleted", 3: "viewed"}


def carry_over(apps, schema_editor):
    roles.install(apps)
    vouch_for_approved(apps)
    seal_old_rows(apps)


def vouch_for_approved(apps):
    """Approved accounts were made by hand; their addresses need no mail to prove them."""
    address = apps.get_model("account", "EmailAddress")
    for user in apps.get_model("accounts", "User").objects.filter(approval="APPROVED"):
        address.objects.get_or_create(
            email=user.email, defaults={"user_id": user.pk, "verified": True, "primary": True}
        )


def seal_old_rows(apps):
    entry_model = apps.get_model("accounts", "AuditEntry")
    old_rows = apps.get_model("auditlog", "LogEntry")._base_manager
    sequence, seal = 0, ""
    for old in old_rows.order_by("pk").iterator(chunk_size=2000):
        sequence += 1
        detail = dict(old.additional_data or {})
        values = {name: getattr(old, name) for name in COPIED}
        values |= {"sequence": sequence, "actor_pk": old.actor_id, "previous_seal": seal}
        values |= {"what": detail.pop("what", WHAT[old.action]), "additional_data": detail or None}
        moment = int(old.timestamp.timestamp() * 1_000_000)
        text = json.dumps(
            values | {"timestamp": moment}, cls=DjangoJSONEncoder, sort_keys=True
        )
        seal = mac(text, settings.SECRET_KEY)
        # The historical model computes no seal of its own.
        entry_model._base_manager.bulk_create(
            [entry_model(**values, actor_id=old.actor_id, seal=seal)]
        )
    if sequence:
        apps.get_model("accounts", "AuditHead").objects.create(
            pk=1,
            sequence=sequence,
            seal=seal,
            own_seal=mac(f"head {sequence}:{seal}", settings.SECRET_KEY),
        )
        old_rows.all().delete()


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_joining_and_audit"),
        ("account", "0009_emailaddress_unique_primary_email"),
        ("auditlog", "0017_add_actor_email"),
        ("diagnosis", "0001_initial"),
        ("mlcore", "0002_activate_permission"),
    ]

    operations = [migrations.RunPython(carry_over, migrations.RunPython.noop)]
