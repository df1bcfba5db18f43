"""Settings to what looks at texts: nothing, while the policy is off."""

import asyncio
from contextlib import AsyncExitStack

from src.adapters.database.audit import SqlAuditLog
from src.adapters.database.engine import Database
from src.adapters.translators.remote import Budget
from src.config.callbacks import signing_keys
from src.config.settings import Settings
from src.domain.errors import EngineUnavailable
from src.domain.moderation import Moderator, OnFailure, Policy
from src.services.audit import Audit
from src.services.moderation import Moderation


async def start_moderation(settings: Settings, database: Database, stack: AsyncExitStack) -> Moderation:
    """Raises EngineUnavailable for lists of words that cannot be read."""
    policy = Policy(settings.moderation_policy)
    if policy is Policy.OFF:
        return Moderation.off()
    moderators = [await _moderator(name, settings, stack) for name in settings.moderation_engines]
    by_default = OnFailure.REFUSE if policy is Policy.BLOCK else OnFailure.ALLOW
    on_failure = OnFailure(settings.moderation_on_failure or by_default)
    return Moderation(policy, tuple(moderators), on_failure, Audit(SqlAuditLog(database), settings.audit_ttl_seconds))


async def _moderator(name: str, settings: Settings, stack: AsyncExitStack) -> Moderator:
    if name == "webhook":
        return _webhook(settings, stack)
    # here, as a service without moderation needs no lists
    from src.adapters.moderation.words import WordLists  # noqa: PLC0415

    return await asyncio.to_thread(WordLists.load, settings.moderation_words_dir)


def _webhook(settings: Settings, stack: AsyncExitStack) -> Moderator:
    from src.adapters.moderation.webhook import ModerationWebhook  # noqa: PLC0415 - as above

    url, secret, user_key = (
        settings.moderation_webhook_url,
        settings.moderation_webhook_secret,
        settings.moderation_user_key,
    )
    if url is None or secret is None:
        raise EngineUnavailable("MODERATION_ENGINES=webhook needs MODERATION_WEBHOOK_URL and _SECRET.")
    budget = Budget(total_seconds=settings.moderation_timeout_seconds, attempts=settings.moderation_attempts)
    webhook = ModerationWebhook(
        url,
        signing_keys(secret.get_secret_value()),
        None if user_key is None else user_key.get_secret_value().encode(),
        budget,
    )
    stack.push_async_callback(webhook.close)
    return webhook
