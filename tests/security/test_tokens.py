"""Tokens over HTTP that must not count, for each kind of key that a service may trust."""

from collections import Counter
from pathlib import Path

import pytest

from tests.attacks.token_matrix import KINDS, attacks, bearer, mutations, targets
from tests.servers.issuer import Issuer
from tests.support.reporting import LONG, say
from tests.support.tokens import claims

pytestmark = pytest.mark.timeout(1200)

EVERY = 20
"""After so many attacks a good token is tried: 401 for all would prove nothing."""


@pytest.mark.parametrize("kind", KINDS)
def test_every_attack_is_refused_and_a_good_token_is_not(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tried: Counter[str] = Counter()
    wrong = []
    with Issuer() as elsewhere, targets(kind, tmp_path) as target:
        target.elsewhere = elsewhere.url
        changed = (("one character changed", bearer(token)) for token in mutations(target) if LONG)
        for number, (name, headers) in enumerate([*attacks(target), *changed]):
            answer = target.answer(headers)
            tried[name] += 1
            if answer != (401, "unauthenticated"):
                wrong.append((name, headers, answer))
            if number % EVERY == 0:
                assert target.takes(target.signer.token(claims()))
        fetched = len(elsewhere.requests)
    table = "\n".join(f"  {name:<34} {count:>5}" for name, count in tried.items())
    asked = f"{fetched} requests to an address that a token named"
    say(capsys, f"{kind}: {tried.total()} attacks; {len(wrong)} let in; {asked}\n{table}")
    assert wrong == []
    assert fetched == 0
    assert tried.total() > 250
    assert len(tried) == (11 if kind == "key set" else 10) + LONG
