"""A live session over a WebSocket: what the caller sends becomes calls, what the session tells becomes events.

Three tasks beside the session itself: one reads, one writes, one sees to it that the caller may still be here. When the
caller is gone, or does not read, the session is cancelled, and with it what its engines do.
"""

import asyncio
import math
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from pydantic import BaseModel, ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from src.api.dependencies import Services
from src.api.error_handlers import problem
from src.api.presenters import encode
from src.api.requests import parse
from src.api.schemas import realtime as schemas
from src.domain.errors import RequestInvalid, Unauthenticated, Unavailable, VoiceServiceError
from src.domain.identity import CLOCK_LEEWAY_SECONDS, Identity
from src.domain.languages import canonical, variant
from src.domain.speech import Wording
from src.services.live.events import (
    Closed,
    Configured,
    EndReason,
    InputText,
    LiveEvent,
    LiveSettings,
    OutputAudio,
    OutputText,
    Trouble,
)
from src.services.live.session import LiveSession
from src.utils.audio import decode_base64, encode_pcm
from src.utils.concurrency import background_task

MAX_MESSAGE_BYTES = 2**20
"""16 seconds of sound in base64."""

_SEND_SECONDS = 10.0
"""In which a caller takes an event."""
_LOOK_SECONDS = 15.0
"""How often it is looked whether the token was revoked."""
_CLOSE_CODES = {EndReason.TOKEN: 1008, EndReason.TOO_FAST: 1008, EndReason.SERVER: 1012, EndReason.FAILED: 1011}
_NORMAL = 1000


def ends_at(caller: Identity, most_seconds: float) -> float:
    """Unix seconds at which a session that begins now has to end: its own end, or its token's."""
    return min(time.time() + most_seconds, _token_end(caller))


def _token_end(caller: Identity) -> float:
    return math.inf if caller.token is None else caller.token.expires_at + CLOCK_LEEWAY_SECONDS


@dataclass(frozen=True, slots=True, eq=False)
class Conversation:
    """`model`: the name that the caller has for the engines."""

    websocket: WebSocket
    session: LiveSession
    services: Services
    caller: Identity
    model: str

    async def hold(self, first: schemas.SessionChange) -> None:
        """Until it has ended, or the caller is gone. `first`: how the session begins."""
        app = self.websocket.app
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(background_task(self.session.run()))
            telling = await stack.enter_async_context(background_task(self._tell()))
            listening = await stack.enter_async_context(background_task(self._listen(first)))
            await stack.enter_async_context(background_task(self._watch_access()))
            await stack.enter_async_context(background_task(self._watch_server(app.state.stopping, app.state.ending)))
            await asyncio.wait({telling, listening}, return_when=asyncio.FIRST_COMPLETED)
            if telling.done():
                telling.result()
            else:
                listening.result()

    async def _tell(self) -> None:
        """Every event, and the end. Returns, too, when the caller does not read."""
        async for event in self.session.events():
            told = self._told(event)
            try:
                async with asyncio.timeout(_SEND_SECONDS):
                    await self.websocket.send_text(told.model_dump_json())
                    if isinstance(event, Closed):
                        await self.websocket.close(_CLOSE_CODES.get(event.reason, _NORMAL), event.reason)
            except (TimeoutError, WebSocketDisconnect):
                return

    async def _listen(self, first: schemas.SessionChange) -> None:
        """Until the caller is gone."""
        await self._configure(first, None, first=True)
        while (message := await self.websocket.receive())["type"] != "websocket.disconnect":
            event: Any = None
            try:
                if (sound := message.get("bytes")) is not None:
                    self.session.append(sound)
                    continue
                event = parse(message["text"].encode())
                await self._take(schemas.client_event.validate_python(event))
            except ValidationError as error:
                await self.session.emit(_of_validation(error, _event_id(event)))
            except VoiceServiceError as error:
                await self.session.emit(Trouble(error, _event_id(event)))

    async def _take(self, event: schemas.SessionUpdate | schemas.AudioAppend | schemas.SessionClose) -> None:
        match event:
            case schemas.AudioAppend():
                self.session.append(decode_base64(event.audio, MAX_MESSAGE_BYTES))
            case schemas.SessionUpdate():
                await self._configure(event.session, event.event_id)
            case schemas.SessionClose():
                self.session.close(EndReason.CLIENT)

    async def _configure(self, change: schemas.SessionChange, event_id: str | None, *, first: bool = False) -> None:
        try:
            await self.session.configure(changed(self.session.settings, change), first=first)
        except VoiceServiceError as error:
            if first:
                await self.session.configure(LiveSettings(), first=True)
            await self.session.emit(Trouble(error, event_id))

    async def _watch_access(self) -> None:
        """A token that ends, or is revoked, ends the session."""
        if self.caller.token is None:
            return
        while (left := _token_end(self.caller) - time.time()) > 0:
            await asyncio.sleep(min(left, _LOOK_SECONDS))
            try:
                await self.services.sessions.require(self.caller)
            except Unavailable:
                continue
            except Unauthenticated as error:
                await self._end(error)
                return
        await self._end(Unauthenticated("The token has expired. Open a session with a new one."))

    async def _end(self, error: VoiceServiceError) -> None:
        await self.session.emit(Trouble(error))
        self.session.close(EndReason.TOKEN, drain=False)

    async def _watch_server(self, stopping: asyncio.Event, ending: asyncio.Event) -> None:
        await stopping.wait()
        self.session.close(EndReason.SERVER)
        await ending.wait()
        self.session.close(EndReason.SERVER, drain=False)

    def _told(self, event: LiveEvent) -> BaseModel:
        event_id = f"event_{uuid4().hex}"
        match event:
            case Configured():
                kind = schemas.SessionCreated if event.first else schemas.SessionUpdated
                return kind(event_id=event_id, session=presented(self.session, event.settings, self.model))
            case OutputAudio():
                delta = encode(encode_pcm(event.audio.samples))
                degraded = list(event.degraded)
                return schemas.OutputAudioDelta(event_id=event_id, delta=delta, degraded=degraded, **_times(event))
            case InputText():
                return schemas.InputTranscriptDelta(event_id=event_id, delta=event.delta, **_times(event))
            case OutputText():
                return schemas.OutputTranscriptDelta(
                    event_id=event_id, delta=event.delta, degraded=list(event.degraded), **_times(event)
                )
            case Trouble():
                return schemas.ErrorEvent(event_id=event_id, error=_details(event))
            case Closed():
                return schemas.SessionClosed(event_id=event_id, reason=event.reason)


def changed(old: LiveSettings, change: schemas.SessionChange) -> LiveSettings:
    """Raises UnsupportedLanguage for a tag that names none of the service's languages."""
    given, heard, said = change.audio.input.model_fields_set, change.audio.input, change.audio.output
    new = old
    if "transcription" in given:
        asked = heard.transcription
        source = None if asked is None or asked.language is None else canonical(asked.language)
        new = replace(new, transcribes=asked is not None, source=source)
    if said.language is not None:
        new = replace(new, target=canonical(said.language), wording=Wording(target_variant=variant(said.language)))
    if said.voice is not None:
        new = replace(new, voice=said.voice)
    if said.speaker is not None:
        new = replace(new, always=said.speaker == "always")
    return new


def presented(session: LiveSession, settings: LiveSettings, model: str) -> schemas.TranslationSession:
    return present(session.id, settings, model, session.until)


def present(session_id: str, settings: LiveSettings, model: str, until: float) -> schemas.TranslationSession:
    asked = schemas.InputTranscription(language=settings.source) if settings.transcribes else None
    said = schemas.SaidOutput(
        language=settings.wording.target_variant or settings.target,
        voice=settings.voice,
        speaker="always" if settings.always else "once",
    )
    audio = schemas.SaidAudio(input=schemas.SaidInput(transcription=asked), output=said)
    return schemas.TranslationSession(id=session_id, model=model, expires_at=int(until), audio=audio)


def _times(event: InputText | OutputText | OutputAudio) -> dict[str, int]:
    return {"elapsed_ms": event.elapsed_ms, "lag_ms": event.lag_ms}


def _details(trouble: Trouble) -> schemas.ErrorDetails:
    body = problem(trouble.error).openai_body()["error"]
    return schemas.ErrorDetails(**{**body, "param": trouble.param or body["param"], "event_id": trouble.event_id})


def _event_id(event: Any) -> str | None:
    given = event.get("event_id") if isinstance(event, dict) else None
    return given[:512] if isinstance(given, str) else None


def _of_validation(error: ValidationError, event_id: str | None) -> Trouble:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = [str(part) for part in first["loc"]]
    field = ".".join(place[1:])[:100] or "type"
    return Trouble(RequestInvalid(f"{field}: {first['msg']}"), event_id, field)
