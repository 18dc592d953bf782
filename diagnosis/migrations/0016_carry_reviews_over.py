"""Make each earlier assessment of a doctor a signed opinion."""

from django.db import migrations

BATCH = 1000


def carry_over(apps, schema_editor):
    """Store an opinion for each review: what it says now; the audit log has what it said before."""
    review_model = apps.get_model("diagnosis", "Review")
    opinion_model = apps.get_model("diagnosis", "Opinion")
    waiting = review_model.objects.filter(opinion__isnull=True).order_by("pk")
    while rows := list(waiting[:BATCH]):
        opinions = opinion_model.objects.bulk_create(
            opinion_model(
                reading_id=row.reading_id,
                author_id=row.doctor_id,
                stage="SIGNED",
                verdict=row.verdict,
                note=row.note,
                recorded_at=row.updated_at,
            )
            for row in rows
        )
        for row, opinion in zip(rows, opinions, strict=True):
            row.opinion, row.signed_at = opinion, row.updated_at
        # Not `save`, which would set `updated_at`.
        review_model.objects.bulk_update(rows, ["opinion", "signed_at"])


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0015_opinion_models")]

    operations = [migrations.RunPython(carry_over, migrations.RunPython.noop)]
