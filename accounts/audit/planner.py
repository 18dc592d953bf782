"""The size of the audit log on a large site, for `xraysite.common.planner`."""

from accounts.audit.models import AuditEntry, AuditMention
from xraysite.common.planner import Figures

ENTRIES = Figures(
    model=AuditEntry,
    rows=10_000_000,
    # Almost all rows are about readings; there are many events, but a few make up most rows.
    distinct={
        "what": 20, "actor": 1000, "actor_email": 1000, "remote_addr": 1000, "content_type": 1,
        "object_pk": 1_000_000,
    },
    unique=("sequence",),
)  # fmt: skip
MENTIONS = Figures(
    model=AuditMention,
    rows=25_000_000,
    distinct={"entry": 1_000_000, "object_pk": 1_000_000},
    unique=("entry", "object_pk"),
)
