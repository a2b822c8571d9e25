from django.db import migrations

from elihu.contrib.django.operations import MigrateElihu, read_only_models


class Migration(migrations.Migration):
    initial = True
    dependencies = ()
    operations = (MigrateElihu(1), *read_only_models())
