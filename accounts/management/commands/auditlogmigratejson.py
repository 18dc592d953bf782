from accounts.management.commands.auditlogflush import Command as RefusedCommand


class Command(RefusedCommand):
    """Replaces the command of django-auditlog, which rewrites rows."""

    help = "Refused: rows of the audit log are never changed."
