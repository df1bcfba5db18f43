"""The bucket's own clearing up: rules that erase what is no longer needed, also while the service does not run."""

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from src.adapters.storage.s3_calls import code_of

_MARK = "voice-translation"


def wanted_rules(prefix: str, days: Mapping[str, int | None]) -> list[dict[str, Any]]:
    """One rule for each folder below `prefix`, erasing files that many days after they were written; None: never. Where
    the bucket keeps older versions, they go a day after they were replaced or deleted, as what is deleted has to be
    gone. And one rule for uploads that were never completed.
    """
    folder = f"{prefix}/" if prefix else ""
    erase = [
        {
            "ID": f"{_mark(prefix)}{name}",
            "Status": "Enabled",
            "Filter": {"Prefix": f"{folder}{name}/"},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
        }
        | ({"Expiration": {"Days": after}} if after is not None else {})
        for name, after in sorted(days.items())
    ]
    uploads = {
        "ID": f"{_mark(prefix)}uploads",
        "Status": "Enabled",
        "Filter": {"Prefix": folder},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    }
    return [*erase, uploads]


def put_rules(client: Any, bucket: str, prefix: str, days: Mapping[str, int | None]) -> bool:
    """Set the service's rules and leave all others as they are. Returns whether anything had to be changed. Blocks."""
    try:
        current = client.get_bucket_lifecycle_configuration(Bucket=bucket)
    except ClientError as error:
        if code_of(error) != "NoSuchLifecycleConfiguration":
            raise
        current = {}
    rules = current.get("Rules", [])
    wanted = wanted_rules(prefix, days)
    ours = [rule for rule in rules if _is_ours(rule, prefix)]
    if sorted(ours, key=_id) == sorted(wanted, key=_id):
        return False
    others = [rule for rule in rules if not _is_ours(rule, prefix)]
    least = current.get("TransitionDefaultMinimumObjectSize")  # another's setting for the whole bucket
    client.put_bucket_lifecycle_configuration(
        Bucket=bucket,
        LifecycleConfiguration={"Rules": [*others, *wanted]},
        **({"TransitionDefaultMinimumObjectSize": least} if least else {}),
    )
    return True


def _mark(prefix: str) -> str:
    """What the names of our rules begin with. Two services may share a bucket under different prefixes."""
    return f"{_MARK}:{prefix}:"


def _is_ours(rule: Mapping[str, Any], prefix: str) -> bool:
    return _id(rule).startswith(_mark(prefix))


def _id(rule: Mapping[str, Any]) -> str:
    return str(rule.get("ID", ""))
