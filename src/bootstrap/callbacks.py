"""Callbacks: which addresses they may go to, and their delivery. Without WEBHOOK_SECRET there are none."""

from contextlib import AsyncExitStack

import httpx

from src import __version__
from src.adapters.callbacks.http_sender import HttpCallbackSender, SystemResolver
from src.adapters.database.engine import Database
from src.adapters.database.jobs.callbacks import SqlCallbackOutbox
from src.config.settings import Settings
from src.config.values import signing_keys
from src.services.jobs.callbacks import CallbackAddresses, CallbackDelivery
from src.utils.concurrency import start_background
from src.utils.public_addresses import AddressRules

_CONCURRENCY = 16


def callback_addresses(settings: Settings) -> CallbackAddresses:
    return CallbackAddresses(
        AddressRules(settings.callback_allowed_networks),
        signed=settings.webhook_secret is not None,
        allow_http=settings.callback_allow_http,
    )


def start_callback_delivery(settings: Settings, database: Database, stack: AsyncExitStack) -> CallbackDelivery | None:
    """What delivers from now on, until the stack is closed. None where callbacks are off; those that wait, wait on."""
    if settings.webhook_secret is None:
        return None
    resolver = SystemResolver(_CONCURRENCY)
    stack.callback(resolver.close)
    sender = HttpCallbackSender(
        signing_keys(settings.webhook_secret.get_secret_value()),
        AddressRules(settings.callback_allowed_networks),
        resolver,
        httpx.create_ssl_context(),  # heeds SSL_CERT_FILE, as every other client here
        user_agent=f"voice-translation/{__version__}",
        connections=_CONCURRENCY,
    )
    stack.push_async_callback(sender.close)
    outbox = SqlCallbackOutbox(database)
    delivery = CallbackDelivery(outbox, sender, concurrency=_CONCURRENCY)
    start_background(delivery.run(), stack)
    return delivery
