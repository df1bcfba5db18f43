"""What a user may ask about everything that is theirs."""

from fastapi import APIRouter

from src.api.dependencies import Caller, ServicesDep
from src.api.problems import problems
from src.domain.deletions import DeletionKind

router = APIRouter(prefix="/api/v1", tags=["me"])


@router.delete("/me", status_code=204, responses=problems(429, 503))
async def delete_me(caller: Caller, services: ServicesDep) -> None:
    """Delete the caller's jobs, profiles with their consents, counts, callbacks, idempotency keys, and files.

    From the answer on nothing of it is found any more; files and copies are gone within 60 s, also when the service is
    stopped meanwhile. The audit log keeps what was done under a pseudonym. Tokens stay valid, as they say who somebody
    is and not what is kept of them: who calls again begins anew.
    """
    await services.deletions.request(DeletionKind.USER, caller.user_id, caller.user_id, caller.user_id)
