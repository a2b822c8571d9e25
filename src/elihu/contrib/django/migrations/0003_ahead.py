from django.db import migrations

from elihu.contrib.django.operations import MigrateElihu


class Migration(migrations.Migration):
    dependencies = (("elihu", "0002_delete_runs"),)
    operations = (MigrateElihu(3),)
