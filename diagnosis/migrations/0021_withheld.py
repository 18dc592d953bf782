"""The indexes of the worklist contain whether a result is withheld, which its filters ask."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('diagnosis', '0020_reports'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='reading',
            name='reading_own_newest',
        ),
        migrations.RemoveIndex(
            model_name='reading',
            name='reading_own_waiting',
        ),
        migrations.RemoveIndex(
            model_name='reading',
            name='reading_own_name',
        ),
        migrations.RemoveIndex(
            model_name='reading',
            name='reading_own_age',
        ),
        migrations.RemoveIndex(
            model_name='reading',
            name='reading_own_probability',
        ),
        migrations.RemoveIndex(
            model_name='reading',
            name='reading_own_label',
        ),
        migrations.RemoveIndex(
            model_name='reading',
            name='reading_own_exam_date',
        ),
        migrations.AddIndex(
            model_name='reading',
            index=models.Index(condition=models.Q(('hidden_at__isnull', True)), fields=['doctor', '-created_at', '-id', 'patient_name_key', 'patient_number_key', 'withheld', 'label', 'own_verdict', 'is_unread', 'waiting_since', 'exam_date', 'patient_age_years', 'hidden_at'], name='reading_own_newest'),
        ),
        migrations.AddIndex(
            model_name='reading',
            index=models.Index(condition=models.Q(('hidden_at__isnull', True), ('waiting_since__isnull', False)), fields=['doctor', 'waiting_since', 'id', 'urgency', '-pneumonia_probability', 'created_at', 'withheld', 'label', 'own_verdict', 'is_unread', 'exam_date', 'patient_age_years', 'hidden_at'], name='reading_own_waiting'),
        ),
        migrations.AddIndex(
            model_name='reading',
            index=models.Index(condition=models.Q(('hidden_at__isnull', True)), fields=['doctor', 'patient_name_key', '-created_at', '-id', 'withheld', 'label', 'own_verdict', 'is_unread', 'waiting_since', 'exam_date', 'patient_age_years', 'hidden_at'], name='reading_own_name'),
        ),
        migrations.AddIndex(
            model_name='reading',
            index=models.Index(condition=models.Q(('hidden_at__isnull', True)), fields=['doctor', 'patient_age_years', '-created_at', '-id', 'withheld', 'label', 'own_verdict', 'is_unread', 'waiting_since', 'exam_date', 'hidden_at'], name='reading_own_age'),
        ),
        migrations.AddIndex(
            model_name='reading',
            index=models.Index(condition=models.Q(('hidden_at__isnull', True)), fields=['doctor', '-pneumonia_probability', '-created_at', '-id', 'withheld', 'label', 'own_verdict', 'is_unread', 'waiting_since', 'exam_date', 'patient_age_years', 'hidden_at'], name='reading_own_probability'),
        ),
        migrations.AddIndex(
            model_name='reading',
            index=models.Index(fields=['doctor', 'label', '-created_at', '-id', 'withheld', 'own_verdict', 'is_unread', 'waiting_since', 'exam_date', 'patient_age_years', 'hidden_at'], name='reading_own_label'),
        ),
        migrations.AddIndex(
            model_name='reading',
            index=models.Index(fields=['doctor', '-exam_date', '-created_at', '-id', 'withheld', 'label', 'own_verdict', 'is_unread', 'waiting_since', 'patient_age_years', 'hidden_at'], name='reading_own_exam_date'),
        ),
    ]
