"""What a user gets of everything that is held about them, over HTTP."""

import base64
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import httpx

from tests.fakes.engines import serve
from tests.support.messages import CONSENT, MESSAGE
from tests.support.options import applied

VOICE = "/api/v1/voice"
REFERENCE = b"a reference"


def opened(http: httpx.Client, **query: str) -> tuple[zipfile.ZipFile, dict[str, Any]]:
    answer = http.get("/api/v1/me/export", params=query).raise_for_status()
    assert answer.headers["content-type"] == "application/zip"
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    return archive, json.loads(archive.read("manifest.json"))


def test_the_export_has_everything_and_after_the_deletion_nothing(tmp_path: Path) -> None:
    soon = applied({"src.bootstrap.use_cases.SqlDeletions": {"settle_seconds": 1.0}})
    with soon, serve(tmp_path, min_reference_seconds=0.5) as http:
        sent = {"reference_audio": base64.b64encode(REFERENCE).decode(), "consent": CONSENT, "name": "mine"}
        profile = http.post(f"{VOICE}/profile", json=sent).raise_for_status().json()["profile_id"]
        job = http.post(f"{VOICE}/translate", json=MESSAGE, headers={"Idempotency-Key": "k"}).json()
        spoken = {"text": "Good morning.", "target_language": "es", "voice_profile_id": profile}
        clone = http.post(f"{VOICE}/clone", json=spoken).raise_for_status().json()
        archive, manifest = opened(http)
        rows = {name: json.loads(archive.read(f"rows/{name}.json")) for name in manifest["rows"]}
        assert {name: len(found) for name, found in rows.items()} == manifest["rows"]
        assert [row["name"] for row in rows["voice_profiles"]] == ["mine"]
        assert [row["statement"] for row in rows["consents"]] == ["I agree."]
        assert [row["id"] for row in rows["translation_jobs"]] == [job["job_id"]]
        assert rows["translation_jobs"][0]["result"]["original_text"] == job["original_text"]
        assert len(rows["idempotency_keys"]) == 1
        assert len(rows["usage"]) >= 2
        assert rows["audit_log"][0]["action"] == "profile.save"
        folders = {entry["path"].split("/")[0]: archive.read(f"files/{entry['path']}") for entry in manifest["files"]}
        assert folders["references"] == REFERENCE
        assert folders["results"] == base64.b64decode(job["audio_base64"])
        assert folders["clones"] == base64.b64decode(clone["audio_base64"])
        assert "embeddings" in folders
        _, bare = opened(http, audio="false")
        assert bare["files"] == []
        assert http.delete("/api/v1/me").status_code == 204
        assert http.get(f"{VOICE}/job/{job['job_id']}").status_code == 404
        assert http.get(f"{VOICE}/profiles").json()["profiles"] == []
        _, empty = opened(http)
        assert {name for name, count in empty["rows"].items() if count} <= {"users"}
        assert empty["files"] == []
