"""The endpoints of voice profiles."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from fastapi import APIRouter, Request

from src.api import presenters
from src.api.dependencies import Caller, IdempotencyKey, ItemId, Owner, Services, ServicesDep, on_behalf_of
from src.api.error_handlers import problems
from src.api.requests import JsonRoute, claim_of, decode_all, decode_audio, unless_gone
from src.api.schemas.profiles import (
    ChallengeRequest,
    ChallengeResponse,
    NameRequest,
    ProfileList,
    ProfileRequest,
    ProfileResponse,
    Verification,
    VerificationRequest,
)
from src.domain.accounts import DeletionKind
from src.domain.consent import Consent
from src.domain.errors import ConsentRequired, VerificationFailed, about
from src.domain.identity import Identity
from src.domain.jobs import VoiceProfile
from src.domain.languages import canonical
from src.services.jobs.idempotency import run_once
from src.services.profiles.profiles import NewProfile
from src.services.profiles.verification import SpokenAnswer

router = APIRouter(prefix="/api/v1/voice", tags=["voice"], route_class=JsonRoute)


@router.post("/profile/challenge", responses=problems(400, 403, 408, 413, 415, 422, 429, 503))
async def make_challenge(body: ChallengeRequest, caller: Caller, services: ServicesDep) -> ChallengeResponse:
    """A random sentence: a speaker who says it is there, and not played from a recording. A user gets a few in their
    lifetime of minutes; more are refused with 429.
    """
    speaker = await on_behalf_of(body.user_id, caller, services)
    language = canonical(body.language) if body.language else None
    made = await services.challenges.issue(speaker.user_id, language)
    return ChallengeResponse(
        challenge_id=made.id, sentence=made.sentence, language=made.language, expires_at=made.expires_at
    )


@router.post("/profile", responses=problems(400, 403, 404, 408, 409, 413, 415, 422, 429, 503))
async def save_profile(
    body: ProfileRequest,
    caller: Caller,
    services: ServicesDep,
    request: Request,
    idempotency_key: IdempotencyKey = None,
) -> ProfileResponse:
    """Create a voice profile, or replace the voice of an existing one. The speaker's consent is for each voice anew;
    the record of an earlier one is kept as long as the profile.
    """
    caller = await on_behalf_of(body.user_id, caller, services)
    new = NewProfile(
        user_id=caller.user_id,
        reference_audio=await decode_audio(body.reference_audio),
        additional_references=await decode_all("additional_references", body.additional_references),
        audio_format=body.audio_format,
        consent=_consent(body, caller),
        name=body.name,
        profile_id=body.profile_id,
        verification=await _answer(body.verification, services) if body.verification else None,
    )
    asked = body.model_dump(exclude={"reference_audio": True, "additional_references": True, "verification": {"audio"}})
    recordings = new.recordings if new.verification is None else (*new.recordings, new.verification.audio)

    async def save() -> VoiceProfile:
        async with _noted(services, caller, f"profile:{new.profile_id or 'new'}"):
            profile = await services.profiles.save(new)
        await services.audit.record(caller.user_id, "profile.save", f"profile:{profile.id}", **_agreed(profile))
        return profile

    async def saved_before(kept: str) -> VoiceProfile:
        profile_id, *notes = kept.split("\n")
        return replace(await services.profiles.get(profile_id, new.user_id), notes=tuple(notes))

    saving = run_once(
        services.idempotency,
        await claim_of(caller, idempotency_key, "profile", asked, recordings),
        make=save,
        keep=lambda profile: "\n".join((profile.id, *profile.notes)),
        again=saved_before,
    )
    return presenters.profile(await unless_gone(request, saving, goes_on=idempotency_key is not None))


@router.post("/profile/{profile_id}/verification", responses=problems(400, 403, 404, 408, 413, 415, 422, 429, 503, 504))
async def verify_profile(
    profile_id: ItemId, body: VerificationRequest, caller: Caller, services: ServicesDep, request: Request
) -> ProfileResponse:
    """Verify a profile that is there: its speaker says the sentence of a challenge. The consent that it was saved with
    is recorded anew, as one by `spoken_challenge`.
    """
    speaker, answer = await on_behalf_of(body.user_id, caller, services), await _answer(body, services)

    async def verify() -> VoiceProfile:
        subject, user = f"profile:{profile_id}", speaker.user_id
        async with _noted(services, speaker, subject):
            profile = await services.profiles.verify(profile_id, user, answer, sent_by=speaker.by or user)
        await services.audit.record(user, "profile.verify", subject, **_agreed(profile))
        return profile

    return presenters.profile(await unless_gone(request, verify()))


@router.get("/profiles", responses=problems(422, 429))
async def list_profiles(caller: Owner, services: ServicesDep) -> ProfileList:
    """The caller's profiles, newest first."""
    stored = await services.profiles.of_user(caller.user_id)
    return ProfileList(profiles=[presenters.profile(item) for item in stored])


@router.get("/profile/{profile_id}", responses=problems(404, 422, 429))
async def get_profile(profile_id: ItemId, caller: Owner, services: ServicesDep) -> ProfileResponse:
    """One profile of the caller's."""
    return presenters.profile(await services.profiles.get(profile_id, caller.user_id))


@router.patch("/profile/{profile_id}", responses=problems(400, 404, 408, 413, 415, 422, 429))
async def rename_profile(
    profile_id: ItemId, body: NameRequest, caller: Owner, services: ServicesDep
) -> ProfileResponse:
    """Give a profile another name."""
    renamed = await services.profiles.rename(profile_id, caller.user_id, body.name)
    await services.audit.record(caller.user_id, "profile.rename", f"profile:{profile_id}")
    return presenters.profile(renamed)


@router.delete("/profile/{profile_id}", status_code=204, responses=problems(404, 422, 429))
async def delete_profile(profile_id: ItemId, caller: Owner, services: ServicesDep) -> None:
    """Withdraw the consent to a voice: the profile is deleted with everything derived from it, which is its
    recordings, its voice, its consents, and the jobs that spoke with it. From the answer on nobody finds it; files and
    copies are gone within 60 s. What was spoken is not fetched back from those who downloaded it.
    """
    await services.deletions.request(DeletionKind.PROFILE, profile_id, caller.user_id, caller.user_id)


def _consent(body: ProfileRequest, caller: Identity) -> Consent | None:
    """Raises ConsentRequired for one that says no."""
    if body.consent is None:
        return None
    if not body.consent.given:
        raise ConsentRequired("`consent.given` is false: without the speaker's agreement no voice is kept.")
    return Consent(body.consent.statement, body.consent.recorded_at, sent_by=caller.by or caller.user_id)


async def _answer(sent: Verification, services: Services) -> SpokenAnswer:
    with about("verification.audio"):
        return SpokenAnswer(sent.challenge_id, await decode_audio(sent.audio), sent.audio_format)


@asynccontextmanager
async def _noted(services: Services, speaker: Identity, subject: str) -> AsyncIterator[None]:
    """A voice that is not its speaker's is told to those who look after the service, too."""
    try:
        yield
    except VerificationFailed as error:
        await services.audit.record(speaker.user_id, "profile.verify", subject, outcome=error.code)
        raise


def _agreed(profile: VoiceProfile) -> dict[str, str]:
    """For the audit log, which holds no words: the statement stays with the profile."""
    consent = profile.consent
    return {"consent": "none"} if consent is None else {"consent": consent.id, "method": consent.method.value}
