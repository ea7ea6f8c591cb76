"""The first tables, and the triggers that make the log insert-only.

The tables are written out here and not taken from the schema, which may change after this revision.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from saebrain.annotation.schema import Moment, Number

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_KINDS = "kind IN ('label', 'skip', 'flag', 'undo', 'adjudicate', 'reveal')"
_ROLES = "role IN ('annotator', 'adjudicator', 'viewer', 'admin')"
_QUEUES = "queue IN ('overlap', 'random', 'impact', 'disagreement', 'repeat', 'stale', 'free')"


def upgrade() -> None:
    op.create_table(
        "person",
        sa.Column("name", sa.String(80), primary_key=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("login", sa.String(320), unique=True),
        sa.Column("created", Moment, nullable=False),
        sa.CheckConstraint(_ROLES, name="role_known"),
    )
    op.create_table(
        "slot",
        sa.Column("id", Number, primary_key=True, autoincrement=True),
        sa.Column("layer", sa.Integer, nullable=False),
        sa.Column("codebook", sa.String(40), nullable=False),
        sa.Column("queue", sa.String(16), nullable=False),
        sa.Column("feature", sa.Integer, nullable=False),
        sa.Column("seat", sa.Integer, nullable=False),
        sa.Column("stratum", sa.String(80), nullable=False),
        sa.Column("place", sa.Double, nullable=False),
        sa.Column("annotator", sa.String(80)),
        sa.Column("claimed", Moment),
        sa.Column("turn", sa.Integer, nullable=False),
        sa.Column("filled", sa.Boolean, nullable=False),
        sa.UniqueConstraint("layer", "codebook", "queue", "feature", "seat", name="slot_once"),
        sa.CheckConstraint(_QUEUES, name="queue_known"),
        sqlite_autoincrement=True,
    )
    op.create_index("slot_of_annotator", "slot", ["layer", "codebook", "annotator", "feature"])
    op.create_index("slot_in_order", "slot", ["layer", "codebook", "queue", "filled", "place", "id"])
    op.create_table(
        "event",
        sa.Column("id", Number, primary_key=True, autoincrement=True),
        sa.Column("uuid", sa.String(36), nullable=False, unique=True),
        sa.Column("key", sa.String(200), nullable=False, unique=True),
        sa.Column("time", Moment, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("annotator", sa.String(80), nullable=False),
        sa.Column("layer", sa.Integer, nullable=False),
        sa.Column("feature", sa.Integer, nullable=False),
        sa.Column("label", sa.String(200)),
        sa.Column("confidence", sa.Integer),
        sa.Column("note", sa.Text),
        sa.Column("codebook", sa.String(40), nullable=False),
        sa.Column("queue", sa.String(16), nullable=False),
        sa.Column("stratum", sa.String(80)),
        sa.Column("suggestion_visible", sa.Boolean, nullable=False),
        sa.Column("seconds", sa.Double),
        sa.Column("supersedes", sa.String(36), sa.ForeignKey("event.uuid")),
        sa.CheckConstraint(_KINDS, name="kind_known"),
        sa.CheckConstraint(_QUEUES, name="queue_known"),
        sqlite_autoincrement=True,
    )
    op.create_index("event_of_feature", "event", ["layer", "feature"])
    op.create_index("event_of_annotator", "event", ["annotator", "layer"])
    if op.get_bind().dialect.name == "sqlite":
        for act in ("UPDATE", "DELETE"):
            op.execute(f"CREATE TRIGGER event_no_{act.lower()} BEFORE {act} ON event BEGIN SELECT RAISE(ABORT, 'the log is insert-only'); END")
    else:
        op.execute(
            "CREATE FUNCTION event_is_insert_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the log is insert-only'; END $$"
        )
        op.execute(
            "CREATE TRIGGER event_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON event FOR EACH STATEMENT EXECUTE FUNCTION event_is_insert_only()"
        )


def downgrade() -> None:
    for table in ("event", "slot", "person"):
        op.drop_table(table)
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION event_is_insert_only()")
