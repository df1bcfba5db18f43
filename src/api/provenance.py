"""Marks, as applied and as found, to response bodies."""

from src.api.schemas import provenance as bodies
from src.domain.provenance import C2paMark, Detection, InfoMark, Mark, WatermarkFinding


def present_marks(marks: tuple[Mark, ...]) -> list[bodies.ProvenanceMark]:
    return [_mark(mark) for mark in marks]


def _mark(mark: Mark) -> bodies.ProvenanceMark:
    match mark:
        case C2paMark():
            return bodies.C2paMark(manifest=mark.manifest, signer=mark.signer, self_signed=mark.self_signed)
        case InfoMark():
            return bodies.InfoMark(fields=dict(mark.fields))
        case _:
            return bodies.WatermarkMark(model=mark.model, message=mark.message)


def present_detection(found: Detection) -> bodies.DetectResponse:
    c2pa = found.c2pa
    return bodies.DetectResponse(
        synthetic=found.synthetic,
        reason=found.reason,
        c2pa=bodies.C2paFound(
            found=c2pa.found,
            valid=c2pa.valid,
            trusted=c2pa.trusted,
            ours=c2pa.ours,
            changed=c2pa.changed,
            manifest=c2pa.manifest,
            signer=c2pa.signer,
            issued_at=c2pa.issued_at,
            software=c2pa.software,
            source_type=c2pa.source_type,
            statuses=list(c2pa.statuses),
        ),
        riff_info=bodies.InfoFound(found=found.info.found, fields=dict(found.info.fields)),
        watermark=_watermark(found.watermark),
        duration_seconds=round(found.duration_seconds, 3),
    )


def _watermark(found: WatermarkFinding | None) -> bodies.WatermarkFound:
    if found is None:
        return bodies.WatermarkFound(checked=False)
    return bodies.WatermarkFound(
        checked=True,
        found=found.found,
        model=found.model,
        probability=round(found.probability, 4),
        message=found.message,
        ours=found.found and found.ours,
    )
