"""Alembic runs this file. `migrate.py` hands it a connection in a transaction, and ends that transaction itself."""

from alembic import context

from src.adapters.database.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
context.run_migrations()
