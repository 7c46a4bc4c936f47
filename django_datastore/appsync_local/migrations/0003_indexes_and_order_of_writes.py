from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps


def create_the_row(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Has the row there before the first write, so that no reader ever waits for that."""
    moments = apps.get_model("appsync_local", "Moment").objects.using(schema_editor.connection.alias)
    moments.create(pk=1, last_write=0, promised=0)


class Migration(migrations.Migration):
    dependencies = [
        ("appsync_local", "0002_publication"),
    ]

    operations = [
        migrations.CreateModel(
            name="BuiltIndex",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=500, unique=True)),
            ],
        ),
        migrations.CreateModel(
            name="Moment",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("last_write", models.BigIntegerField()),
                ("promised", models.BigIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="IndexEntry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("index", models.CharField(max_length=500)),
                ("partition", models.BinaryField()),
                ("sort", models.BinaryField()),
                ("record_id", models.BigIntegerField()),
            ],
            options={
                "verbose_name": "index entry",
                "verbose_name_plural": "index entries",
                "indexes": [
                    models.Index(fields=["index", "partition", "sort", "record_id"], name="appsync_local_entry_walk"),
                    models.Index(fields=["record_id"], name="appsync_local_entry_record"),
                ],
            },
        ),
        migrations.RunPython(create_the_row, migrations.RunPython.noop),
    ]
