"""One real example each for the OpenAPI pages: what `./scripts/demo` sends and gets (audio, signatures shortened)."""

from typing import Any

_MARKS = [
    {
        "kind": "riff_info",
        "fields": {
            "ISFT": "voice-translation 0.1.0",
            "ICRD": "2026-11-21",
            "IGNR": "Synthetic speech",
            "IKEY": "synthetic speech; AI-generated; voice cloning",
            "ICMT": "Synthetic speech: made by AI, not a recording of a person speaking.",
        },
    },
    {
        "kind": "c2pa",
        "manifest": "urn:c2pa:4ca3caa3-2609-4c8a-b336-42a8a4b2e26c",
        "signer": "Voice translation service, self-signed",
        "self_signed": True,
    },
]

TRANSLATE_REQUEST: dict[str, Any] = {
    "audio": "UklGRiSzAQBXQVZFZm10IBAAAAABAAEA…",
    "audio_format": "wav",
    "target_language": "es",
    "source_language": None,
    "voice_profile_id": None,
    "priority": None,
    "options": {
        "quality": "balanced",
        "preserve_emotion": True,
        "return_audio_url": True,
        "return_base64": True,
        "formality": None,
        "glossary_id": None,
        "context": None,
    },
}

TRANSLATED: dict[str, Any] = {
    "job_id": "68616dccc4b945f390f7946fd1090699",
    "status": "completed",
    "stage": None,
    "position": None,
    "estimated_wait_seconds": None,
    "target_language": "es",
    "target_variant": None,
    "source_language": "en",
    "original_text": "my sister will arrive at the airport tomorrow evening",
    "translated_text": "mi hermana llegará en el aeropuerto mañana tarde",
    "audio_base64": "UklGRtTzAQBXQVZFZm10IBAAAAABAAEA…",
    "audio_url": "http://127.0.0.1:8000/api/v1/audio/results/68616dccc4b945f390f7946fd1090699.wav?expires=1795230297&signature=ed88…",
    "duration_seconds": 2.665,
    "voice_similarity": 0.6859,
    "voice_match": {"similarity": 0.6859, "pitch_agreement": 0.9739, "timbre_agreement": 0.8783},
    "confidence": 0.9168,
    "segments": [
        {
            "start": 0.162,
            "end": 3.302,
            "text": "my sister will arrive at the airport tomorrow evening",
            "translated_text": "mi hermana llegará en el aeropuerto mañana tarde",
        }
    ],
    "provenance": _MARKS,
    "engines": {"transcription": "pocketsphinx", "translation": "apertium (en>es)", "voice": "espeak-ng+world"},
    "degraded": [],
    "moderation": None,
    "processing_time_ms": 1431.26,
    "timestamps": {
        "preprocessing_ms": 22.93,
        "transcription_ms": 554.41,
        "translation_ms": 1.55,
        "voice_cloning_ms": 245.76,
        "postprocessing_ms": 606.38,
    },
    "error": None,
    "created_at": "2026-11-21T02:04:56.154087Z",
}

JOBS: dict[str, Any] = {
    "jobs": [
        {
            **{name: TRANSLATED[name] for name in ("job_id", "status", "stage")},
            **{name: TRANSLATED[name] for name in ("target_language", "target_variant", "source_language")},
            **{name: TRANSLATED[name] for name in ("original_text", "translated_text", "audio_url")},
            **{name: TRANSLATED[name] for name in ("duration_seconds", "voice_similarity", "degraded")},
            **{name: TRANSLATED[name] for name in ("processing_time_ms", "error", "created_at")},
        }
    ],
    "next_cursor": "MS4xNzk1MjMwMjk2MTU0MDg3LjY4NjE2ZGNjYzRiOTQ1ZjM5MGY3OTQ2ZmQxMDkwNjk5",
}

TRANSCRIBED: dict[str, Any] = {
    "text": "my sister will arrive at the airport tomorrow evening",
    "source_language": "en",
    "language_probability": 1.0,
    "confidence": 0.9168,
    "segments": [
        {
            "start": 0.162,
            "end": 3.302,
            "text": "my sister will arrive at the airport tomorrow evening",
            "words": [
                {"text": "my", "start": 0.162, "end": 0.402, "confidence": 1.0},
                {"text": "sister", "start": 0.402, "end": 1.002, "confidence": 1.0},
            ],
        }
    ],
    "duration_seconds": 3.48,
    "engine": "pocketsphinx",
    "degraded": [],
    "moderation": None,
    "processing_time_ms": 783.26,
}

CLONED: dict[str, Any] = {
    "audio_base64": "UklGRnSRAABXQVZFZm10IBAAAAABAAEA…",
    "audio_url": "http://127.0.0.1:8000/api/v1/audio/clones/afb903e5a4f24cafbae117e4c3b8ca76.wav?expires=1795230298&signature=2d9b…",
    "duration_seconds": 0.775,
    "target_language": "es",
    "voice_similarity": 0.5907,
    "voice_match": {"similarity": 0.5907, "pitch_agreement": 0.9987, "timbre_agreement": 0.8575},
    "provenance": _MARKS,
    "engine": "espeak-ng+world",
    "degraded": [],
    "moderation": None,
    "processing_time_ms": 296.88,
}

PROFILE: dict[str, Any] = {
    "profile_id": "424cfc1c654b4200bb6a4b524bd96050",
    "name": "Ann at work",
    "user_id": "local",
    "voice_characteristics": {"pitch_hz": 100.7, "voice_type": "medium", "brightness": 0.1062},
    "duration_seconds": 3.438,
    "embedding_cached": True,
    "created_at": "2026-11-21T02:04:59.813637Z",
    "updated_at": "2026-11-21T02:04:59.813643Z",
    "consent": {
        "statement": "I agree that my voice is cloned for my own messages.",
        "recorded_at": "2026-11-21T02:03:00Z",
        "received_at": "2026-11-21T02:04:59.713611Z",
        "method": "declared",
    },
    "verified": False,
    "verified_at": None,
}

TRANSCRIBE_REQUEST: dict[str, Any] = {
    key: TRANSLATE_REQUEST[key] for key in ("audio", "audio_format", "source_language")
}

CLONE_REQUEST: dict[str, Any] = {
    "text": "Hasta mañana.",
    "target_language": "es",
    "reference_audio": TRANSLATE_REQUEST["audio"],
    "audio_format": "wav",
}

PROFILE_REQUEST: dict[str, Any] = {
    "reference_audio": TRANSLATE_REQUEST["audio"],
    "audio_format": "wav",
    "name": "Ann at work",
    "consent": {
        "given": True,
        "statement": "I agree that my voice is cloned for my own messages.",
        "recorded_at": "2026-11-21T10:00:00Z",
    },
}

CHALLENGE_REQUEST: dict[str, Any] = {"language": "en"}

CHALLENGE: dict[str, Any] = {
    "challenge_id": "2f0e65aab9ab4a4eb1f84b0fc3d1b6a1",
    "sentence": "My uncle listens to music on Friday, and my wife buys fresh bread near the river.",
    "language": "en",
    "expires_at": "2026-11-21T10:05:00Z",
}

VERIFICATION_REQUEST: dict[str, Any] = {
    "challenge_id": CHALLENGE["challenge_id"],
    "audio": TRANSLATE_REQUEST["audio"],
    "audio_format": "wav",
}
