"""What alembic runs: the migrations, on the connection that `saebrain.annotation.database` hands it."""

from __future__ import annotations

from alembic import context

from saebrain.annotation.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
context.run_migrations()
