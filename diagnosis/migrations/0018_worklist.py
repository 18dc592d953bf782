import diagnosis.search
import django.db.models.deletion
import django.db.models.fields.json
import django.db.models.functions.comparison
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models
from django.db.models import F, OuterRef, Subquery, Value
from django.db.models.functions import Coalesce


def fill(apps, schema_editor):
    """Readings from before were opened when they were made, and none of them waits."""
    Reading = apps.get_model('diagnosis', 'Reading')
    Review = apps.get_model('diagnosis', 'Review')
    verdicts = Review.objects.filter(reading=OuterRef('pk')).values('verdict')
    Reading.objects.using(schema_editor.connection.alias).update(
        opened_at=Coalesce(F('opened_at'), F('created_at')),
        own_verdict=Coalesce(Subquery(verdicts), Value('')),
    )


class Migration(migrations.Migration):

    dependencies = [
        ('diagnosis', '0017_reviews_have_opinions'),
        ('mlcore', '0004_gate_overrides'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='reading',
            name='reading_own_newest',
        ),
        migrations.RemoveIndex(
            model_name='reading',
            name='reading_own_label',
        ),
        migrations.RemoveIndex(
            model_name='reading',
            name='reading_own_exam_date',
        ),
        migrations.AddField(
            model_name='reading',
            name='own_verdict',
            field=models.CharField(blank=True, choices=[('NORMAL', 'Normal'), ('PNEUMONIA', 'Pneumonia'), ('OTHER', 'Other finding'), ('CANNOT_TELL', 'Cannot tell')], editable=False, max_length=12, verbose_name="doctor's assessment"),
        ),
        migrations.AddField(
            model_name='reading',
            name='waiting_since',
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name='waits for its doctor since'),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.AlterField(
            model_name='reading',
            name='waiting_since',
            field=models.DateTimeField(blank=True, default=django.utils.timezone.now, editable=False, null=True, verbose_name='waits for its doctor since'),
        ),
        migrations.AddField(
            model_name='reading',
            name='is_unread',
            field=models.GeneratedField(db_persist=True, expression=models.Case(models.When(models.Q(('opened_at__isnull', True)), then=models.Value(True)), default=models.Value(False)), output_field=models.BooleanField()),
        ),
        migrations.AddField(
            model_name='reading',
            name='pneumonia_probability',
            field=models.GeneratedField(db_persist=True, expression=models.Case(models.When(models.Q(('withheld', True), ('label', 'OUT_OF_SCOPE'), _connector='OR'), then=models.Value(-1.0)), default=django.db.models.functions.comparison.Cast(django.db.models.fields.json.KeyTextTransform('PNEUMONIA', 'probabilities'), models.FloatField()), output_field=models.FloatField()), output_field=models.FloatField(null=True)),
        ),
        migrations.AddField(
            model_name='reading',
            name='urgency',
            field=models.GeneratedField(db_persist=True, expression=models.Case(models.When(then=models.Value(2), withheld=True), models.When(label='PNEUMONIA', then=models.Value(0)), models.When(label='UNSURE', then=models.Value(1)), default=models.Value(3)), output_field=models.PositiveSmallIntegerField()),
        ),
        migrations.AddIndex(
            model_name='reading',
            index=models.Index(condition=models.Q(('hidden_at__isnull', True)), fields=['doctor', '-created_at', '-id', 'patient_name_key', 'patient_number_key', 'label', 'own_verdict', 'is_unread', 'waiting_since', 'exam_date', 'patient_age_years', 'hidden_at'], name='reading_own_newest'),
        ),
        migrations.AddIndex(
            model_name='reading',
            index=models.Index(condition=models.Q(('hidden_at__isnull', True), ('waiting_since__isnull', False)), fields=['doctor', 'waiting_since', 'id', 'urgency', '-pneumonia_probability', 'created_at', 'label', 'own_verdict', 'is_unread', 'exam_date', 'patient_age_years', 'hidden_at'], name='reading_own_waiting'),
        ),
        migrations.AddIndex(
            model_name='reading',
            index=models.Index(condition=models.Q(('hidden_at__isnull', True)), fields=['doctor', 'patient_name_key', '-created_at', '-id', 'label', 'own_verdict', 'is_unread', 'waiting_since', 'exam_date', 'patient_age_years', 'hidden_at'], name='reading_own_name'),
        ),
        migrations.AddIndex(
            model_name='reading',
            index=models.Index(condition=models.Q(('hidden_at__isnull', True)), fields=['doctor', 'patient_age_years', '-created_at', '-id', 'label', 'own_verdict', 'is_unread', 'waiting_since', 'exam_date', 'hidden_at'], name='reading_own_age'),
        ),
        migrations.AddIndex(
            model_name='reading',
            index=models.Index(condition=models.Q(('hidden_at__isnull', True)), fields=['doctor', '-pneumonia_probability', '-created_at', '-id', 'label', 'own_verdict', 'is_unread', 'waiting_since', 'exam_date', 'patient_age_years', 'hidden_at'], name='reading_own_probability'),
        ),
        migrations.AddIndex(
            model_name='reading',
            index=models.Index(condition=models.Q(('hidden_at__isnull', True)), fields=['doctor', 'withheld', 'label', 'own_verdict', 'is_unread', 'waiting_since', 'created_at', 'exam_date', 'patient_age_years', 'patient_name_key', 'patient_number_key', 'hidden_at', 'id'], name='reading_own_counts'),
        ),
        migrations.AddIndex(
            model_name='reading',
            index=models.Index(fields=['doctor', 'label', '-created_at', '-id', 'own_verdict', 'is_unread', 'waiting_since', 'exam_date', 'patient_age_years', 'hidden_at'], name='reading_own_label'),
        ),
        migrations.AddIndex(
            model_name='reading',
            index=models.Index(fields=['doctor', '-exam_date', '-created_at', '-id', 'label', 'own_verdict', 'is_unread', 'waiting_since', 'patient_age_years', 'hidden_at'], name='reading_own_exam_date'),
        ),
        migrations.CreateModel(
            name='SavedView',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=60, verbose_name='name')),
                ('name_key', diagnosis.search.SearchKeyField(source='name')),
                ('query', models.JSONField(default=dict, verbose_name='filter')),
                ('is_default', models.BooleanField(default=False, verbose_name='shown first')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='created at')),
                ('updated_at', models.DateTimeField(auto_now=True, verbose_name='last changed at')),
            ],
            options={
                'verbose_name': 'saved view',
                'verbose_name_plural': 'saved views',
                'ordering': ['name_key'],
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='Tag',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=40, verbose_name='name')),
                ('name_key', diagnosis.search.SearchKeyField(source='name')),
                ('colour', models.CharField(choices=[('grey', 'Grey'), ('teal', 'Teal'), ('green', 'Green'), ('amber', 'Amber'), ('red', 'Red'), ('violet', 'Violet')], default='grey', max_length=8, verbose_name='colour')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='created at')),
            ],
            options={
                'verbose_name': 'tag',
                'verbose_name_plural': 'tags',
                'ordering': ['name_key'],
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='Tagging',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.AddField(
            model_name='savedview',
            name='doctor',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='saved_views', to=settings.AUTH_USER_MODEL, verbose_name='doctor'),
        ),
        migrations.AddField(
            model_name='tag',
            name='doctor',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='reading_tags', to=settings.AUTH_USER_MODEL, verbose_name='doctor'),
        ),
        migrations.AddField(
            model_name='tagging',
            name='reading',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='taggings', to='diagnosis.reading'),
        ),
        migrations.AddField(
            model_name='tagging',
            name='tag',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='taggings', to='diagnosis.tag'),
        ),
        migrations.AddConstraint(
            model_name='savedview',
            constraint=models.UniqueConstraint(fields=('doctor', 'name_key'), name='view_name_once'),
        ),
        migrations.AddConstraint(
            model_name='savedview',
            constraint=models.UniqueConstraint(condition=models.Q(('is_default', True)), fields=('doctor',), name='view_default_once'),
        ),
        migrations.AddConstraint(
            model_name='tag',
            constraint=models.UniqueConstraint(fields=('doctor', 'name_key'), name='tag_name_once'),
        ),
        migrations.AddConstraint(
            model_name='tag',
            constraint=models.CheckConstraint(condition=models.Q(('colour__in', ['grey', 'teal', 'green', 'amber', 'red', 'violet'])), name='tag_colour_known'),
        ),
        migrations.AddConstraint(
            model_name='tagging',
            constraint=models.UniqueConstraint(fields=('tag', 'reading'), name='tagging_once'),
        ),
    ]
