"""Users, voice profiles, translation jobs, usage and idempotency keys."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_UTC = sa.DateTime(timezone=True)
_ID = sa.String(255)


def upgrade() -> None:
    _create_users()
    _create_voice_profiles()
    _create_translation_jobs()
    _create_usage()
    _create_idempotency_keys()


def _of_user(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=f"fk_{table}_user_id")


def _create_users() -> None:
    op.create_table(
        "users",
        sa.Column("id", _ID, nullable=False),
        sa.Column("created_at", _UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
    )


def _create_voice_profiles() -> None:
    op.create_table(
        "voice_profiles",
        sa.Column("id", _ID, nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("pitch_hz", sa.Double, nullable=False),
        sa.Column("voice_type", sa.String(32), nullable=False),
        sa.Column("brightness", sa.Double, nullable=False),
        sa.Column("duration_seconds", sa.Double, nullable=False),
        sa.Column("embedding_path", sa.Text, nullable=False),
        sa.Column("reference_audio_path", sa.Text, nullable=False),
        sa.Column("consent_statement", sa.Text, nullable=False),
        sa.Column("consent_recorded_at", _UTC, nullable=False),
        sa.Column("created_at", _UTC, nullable=False),
        sa.Column("updated_at", _UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_voice_profiles"),
        _of_user("voice_profiles"),
    )
    op.create_index("ix_voice_profiles_user_id_created_at", "voice_profiles", ["user_id", "created_at"])


def _create_translation_jobs() -> None:
    op.create_table(
        "translation_jobs",
        sa.Column("id", _ID, nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("request", sa.JSON, nullable=False),
        sa.Column("voice_profile_id", _ID),
        sa.Column("input_key", sa.Text, nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("stage", sa.String(32)),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("result", sa.JSON),
        sa.Column("error", sa.JSON),
        sa.Column("created_at", _UTC, nullable=False),
        sa.Column("updated_at", _UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_translation_jobs"),
        _of_user("translation_jobs"),
    )
    for columns in (["status", "created_at"], ["status", "updated_at"], ["voice_profile_id"]):
        op.create_index(f"ix_translation_jobs_{'_'.join(columns)}", "translation_jobs", columns)


def _create_usage() -> None:
    op.create_table(
        "usage",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("at", _UTC, nullable=False),
        sa.Column("operation", sa.String(32), nullable=False),
        sa.Column("outcome", sa.String(64), nullable=False),
        sa.Column("source_language", sa.String(35)),
        sa.Column("target_language", sa.String(35)),
        sa.Column("seconds_in", sa.Double, nullable=False),
        sa.Column("seconds_out", sa.Double, nullable=False),
        sa.Column("characters", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_usage"),
        _of_user("usage"),
    )
    op.create_index("ix_usage_user_id_day", "usage", ["user_id", "day"])


def _create_idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("key_hash", sa.String(64), nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("value", sa.Text),
        sa.Column("expires_at", _UTC, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "key_hash", name="pk_idempotency_keys"),
    )
    op.create_index("ix_idempotency_keys_expires_at", "idempotency_keys", ["expires_at"])
