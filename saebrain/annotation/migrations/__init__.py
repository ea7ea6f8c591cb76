"""Changes of the annotation database's tables, applied in order by alembic."""
