"""The dependency audit fails for what nobody has looked at, and only for that."""

from typing import Any

import pytest

from scripts.parts import audit


def _report(*ids: str) -> dict[str, Any]:
    vulnerabilities = (
        [{"id": ids[0], "aliases": list(ids[1:]), "fix_versions": ["9.9"], "description": ""}] if ids else []
    )
    return {"dependencies": [{"name": "python-jose", "version": "3.5.0", "vulns": vulnerabilities}], "fixes": []}


def test_a_known_vulnerability_fails_and_is_named() -> None:
    lines, unaccepted = audit.judge(_report("PYSEC-2099-1", "CVE-2099-1"))
    assert unaccepted == 1
    assert "VULNERABLE python-jose 3.5.0: PYSEC-2099-1, CVE-2099-1 (fixed in: 9.9)" in lines


def test_an_accepted_one_passes_under_any_of_its_names_with_its_reason() -> None:
    accepted, reason = next(iter(audit.ACCEPTED.items()))
    lines, unaccepted = audit.judge(_report("GHSA-0000", accepted))
    assert unaccepted == 0
    assert lines[0].endswith(reason)


def test_a_package_that_was_not_looked_at_is_not_counted_as_safe() -> None:
    report = {"dependencies": [{"name": "private", "skip_reason": "not on PyPI"}], "fixes": []}
    assert audit.judge(report) == (
        ["not audited: private: not on PyPI", "0 packages audited, 0 unaccepted vulnerabilities"],
        0,
    )


def test_without_a_service_it_says_so_and_passes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "PROBES", {})
    assert audit.main() == 0
    assert capsys.readouterr().out == "audit skipped: no advisory service reachable\n"
