"""Opinions that are only added, drafts, and confirmed diagnoses."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('diagnosis', '0014_blind_first'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='review',
            name='confidence',
            field=models.CharField(blank=True, choices=[('LOW', 'Low'), ('MODERATE', 'Moderate'), ('HIGH', 'High')], max_length=8, verbose_name='confidence'),
        ),
        migrations.AddField(
            model_name='review',
            name='findings',
            field=models.JSONField(blank=True, default=list, verbose_name='findings'),
        ),
        migrations.AddField(
            model_name='review',
            name='signed_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='signed at'),
        ),
        migrations.AlterField(
            model_name='review',
            name='note',
            field=models.CharField(blank=True, max_length=2000, verbose_name='note'),
        ),
        migrations.CreateModel(
            name='Opinion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('verdict', models.CharField(choices=[('NORMAL', 'Normal'), ('PNEUMONIA', 'Pneumonia'), ('OTHER', 'Other finding'), ('CANNOT_TELL', 'Cannot tell')], max_length=12, verbose_name="doctor's assessment")),
                ('findings', models.JSONField(blank=True, default=list, verbose_name='findings')),
                ('confidence', models.CharField(blank=True, choices=[('LOW', 'Low'), ('MODERATE', 'Moderate'), ('HIGH', 'High')], max_length=8, verbose_name='confidence')),
                ('note', models.CharField(blank=True, max_length=2000, verbose_name='note')),
                ('stage', models.CharField(choices=[('FIRST', "First opinion, before the model's result"), ('SIGNED', 'Signed opinion'), ('ADDENDUM', 'Addendum')], max_length=8, verbose_name='stage')),
                ('recorded_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='recorded at')),
                ('seconds', models.PositiveIntegerField(blank=True, null=True, verbose_name='time taken (seconds)')),
                ('author', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='doctor')),
                ('reading', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='opinions', to='diagnosis.reading', verbose_name='reading')),
            ],
            options={
                'verbose_name': "doctor's opinion",
                'verbose_name_plural': "doctors' opinions",
                'ordering': ['recorded_at', 'id'],
                'default_permissions': (),
            },
        ),
        migrations.AddField(
            model_name='review',
            name='opinion',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='diagnosis.opinion'),
        ),
        migrations.CreateModel(
            name='OpinionDraft',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('content', models.JSONField()),
                ('saved_at', models.DateTimeField(auto_now=True)),
                ('doctor', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='opinion_drafts', to=settings.AUTH_USER_MODEL)),
                ('reading', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='opinion_drafts', to='diagnosis.reading')),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='ConfirmedDiagnosis',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('value', models.CharField(choices=[('PNEUMONIA', 'Pneumonia'), ('NORMAL', 'No chest disease'), ('OTHER', 'Other disease, no pneumonia')], max_length=10, verbose_name='confirmed diagnosis')),
                ('source', models.CharField(choices=[('MICROBIOLOGY', 'Culture, PCR or antigen test'), ('IMAGING', 'CT, ultrasound or later X-ray'), ('COURSE', 'Clinical course or discharge diagnosis'), ('PANEL', 'Reading by several experts'), ('OTHER', 'Other')], max_length=12, verbose_name='confirmed by')),
                ('detail', models.CharField(blank=True, max_length=200, verbose_name='details')),
                ('confirmed_on', models.DateField(verbose_name='confirmed on')),
                ('recorded_at', models.DateTimeField(auto_now=True, verbose_name='recorded at')),
                ('reading', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='diagnosis', to='diagnosis.reading')),
                ('recorded_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='recorded by')),
            ],
            options={
                'verbose_name': 'confirmed diagnosis',
                'verbose_name_plural': 'confirmed diagnoses',
                'default_permissions': (),
                'constraints': [models.CheckConstraint(condition=models.Q(('value__in', ['PNEUMONIA', 'NORMAL', 'OTHER'])), name='diagnosis_value_known')],
            },
        ),
        migrations.AddConstraint(
            model_name='opinion',
            constraint=models.CheckConstraint(condition=models.Q(('verdict__in', ['NORMAL', 'PNEUMONIA', 'OTHER', 'CANNOT_TELL'])), name='opinion_verdict_known'),
        ),
        migrations.AddConstraint(
            model_name='opinion',
            constraint=models.UniqueConstraint(condition=models.Q(('stage__in', ['FIRST', 'SIGNED'])), fields=('reading', 'author', 'stage'), name='opinion_stage_once'),
        ),
        migrations.AddConstraint(
            model_name='opiniondraft',
            constraint=models.UniqueConstraint(fields=('reading', 'doctor'), name='opinion_draft_once'),
        ),
    ]
