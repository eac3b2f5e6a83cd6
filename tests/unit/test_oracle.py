"""What must stay is as it was when it was written down."""

import pytest

import oracle


@pytest.mark.parametrize("kind", oracle.KINDS)
def test_stays(kind):
    found, known = oracle.facts(kind), {kind: oracle.known()[kind]}
    differ = oracle.differences(found, known)
    assert not differ, f"{differ}: if it is meant so, python tests/oracle.py --write"
