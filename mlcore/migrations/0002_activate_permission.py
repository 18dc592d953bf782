from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('mlcore', '0001_initial'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='modelversion',
            options={'ordering': ['-is_active', '-created_at'], 'permissions': [('activate_modelversion', 'Can choose the model that reads films')], 'verbose_name': 'model version', 'verbose_name_plural': 'model versions'},
        ),
    ]
