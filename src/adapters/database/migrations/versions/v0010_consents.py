"""Consents in rows of their own, which stay when a voice is replaced; sentences for speakers to say."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_UTC = sa.DateTime(timezone=True)
_ID = sa.String(255)
_PROFILES = "voice_profiles"


def upgrade() -> None:
    _create_consents()
    _move_consents()
    _create_voice_challenges()


def _of_user(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=f"fk_{table}_user_id_users", ondelete="CASCADE")


def _create_consents() -> None:
    op.create_table(
        "consents",
        sa.Column("id", _ID, nullable=False),
        sa.Column("profile_id", _ID, nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("sent_by", _ID),
        sa.Column("statement", sa.Text, nullable=False),
        sa.Column("method", sa.String(32), nullable=False),
        sa.Column("reference_sha256", sa.JSON),
        sa.Column("recorded_at", _UTC, nullable=False),
        sa.Column("received_at", _UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_consents"),
        sa.ForeignKeyConstraint(
            ["profile_id"], [f"{_PROFILES}.id"], name="fk_consents_profile_id_voice_profiles", ondelete="CASCADE"
        ),
        _of_user("consents"),
    )
    for column in ("profile_id", "user_id"):
        op.create_index(f"ix_consents_{column}", "consents", [column])


def _move_consents() -> None:
    """A profile's one consent came with its last recordings. It takes the profile's id, which no other consent has."""
    op.add_column(_PROFILES, sa.Column("consent_id", _ID))
    op.execute(
        "INSERT INTO consents (id, profile_id, user_id, statement, method, recorded_at, received_at) "
        "SELECT id, id, user_id, consent_statement, 'declared', consent_recorded_at, updated_at FROM voice_profiles"
    )
    op.execute("UPDATE voice_profiles SET consent_id = id")
    for column in ("consent_statement", "consent_recorded_at"):
        op.drop_column(_PROFILES, column)


def _create_voice_challenges() -> None:
    op.create_table(
        "voice_challenges",
        sa.Column("id", _ID, nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("language", sa.String(35), nullable=False),
        sa.Column("sentence", sa.Text, nullable=False),
        sa.Column("expires_at", _UTC, nullable=False),
        sa.Column("used_at", _UTC),
        sa.PrimaryKeyConstraint("id", name="pk_voice_challenges"),
        _of_user("voice_challenges"),
    )
    for column in ("user_id", "expires_at"):
        op.create_index(f"ix_voice_challenges_{column}", "voice_challenges", [column])
