"""The database itself: its integrity, models and their bundles, and the audit log."""

from collections.abc import Iterator

from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import F

from accounts.audit.models import AuditEntry
from accounts.audit.verify import verify_log
from diagnosis.models import Reading
from mlcore import immutability, registry
from mlcore.models import ModelVersion
from xraysite.fsck.findings import Finding, Run


def database_is_whole(run: Run) -> Iterator[Finding]:
    """Check the database's own structure, and that its migrations are applied."""
    run.checked["tables"] += len(connection.introspection.table_names())
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA integrity_check(20)")
            faults = [row[0] for row in cursor.fetchall() if row[0] != "ok"]
            cursor.execute("PRAGMA foreign_key_check")
            broken = cursor.fetchall()
        for fault in faults:
            yield Finding("database-damaged", "database", f"{fault}. Restore a backup.")
        for table, row, parent, _ in broken:
            text = f"It refers to a row of {parent} that does not exist. Restore a backup."
            yield Finding("reference-broken", f"{table}, row {row}", text)
    executor = MigrationExecutor(connection)
    for migration, _ in executor.migration_plan(executor.loader.graph.leaf_nodes()):
        text = "The migration is not applied: run `manage.py migrate`."
        yield Finding("migration-missing", str(migration), text)


def models_are_whole(run: Run) -> Iterator[Finding]:
    """Check that every registered model is as it was registered, and its bundle complete."""
    for trigger in immutability.missing_triggers():
        if run.repair:
            immutability.install_triggers("default")
        text = "The trigger that keeps registered models unchanged is missing."
        yield Finding("trigger-missing", trigger, text, run.repair)
    for version in ModelVersion.objects.order_by("created_at"):
        run.checked["models"] += 1
        for fault in immutability.faults_of(version):
            yield Finding("model-altered", version.name, f"{fault}. Restore a backup.")
        try:
            registry.load(version.folder, sha256=version.bundle_sha256)
        except registry.ModelUnavailable as error:
            readings = Reading.objects.filter(model_version=version).count()
            text = (
                f"Its bundle cannot be used ({error}); {readings} reading(s) cannot be "
                "recomputed. Restore it from a backup."
            )
            yield Finding(f"bundle-{error.code}", version.name, text)
    others = Reading.objects.exclude(bundle_sha256=F("model_version__bundle_sha256")).count()
    if others:  # earlier versions of the site let a model take the name of another
        run.notes["readings of a bundle that is no longer registered"] += others


def audit_log_is_whole(run: Run) -> Iterator[Finding]:
    """Verify the audit log."""
    run.checked["audit rows"] += AuditEntry.objects.count()
    for sentence in verify_log():
        yield Finding("audit", "audit log", sentence)
