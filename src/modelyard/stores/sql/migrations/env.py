"""Alembic's entry: runs the revisions on the connection that ``Database.migrate`` holds.

Owns nothing beyond that; see https://alembic.sqlalchemy.org/en/latest/cookbook.html (connection sharing).
"""

from __future__ import annotations

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, transactional_ddl=False)
context.run_migrations()
