"""SQLAlchemy: engine, tables, repositories, migrations."""
