from django.db import migrations

from elihu.contrib.django.operations import MigrateElihu


class Migration(migrations.Migration):
    dependencies = (("elihu", "0001_initial"),)
    operations = (MigrateElihu(2),)
