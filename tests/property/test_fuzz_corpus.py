"""What fuzzing found and kept (`scripts/fuzz`): each input again, and in the long form each spoilt a little more."""

import random
from collections.abc import Iterator

import pytest

from support import fuzzing
from support.fuzzing import Target

NAMES = sorted(fuzzing.targets())
#: How often each input is spoilt, in the long form.
TIMES = 100


@pytest.fixture(scope="module", params=NAMES)
def target(request: pytest.FixtureRequest) -> Iterator[tuple[str, Target]]:
    """A target and its name."""
    with fuzzing.targets()[request.param]() as entered:
        yield request.param, entered


def try_(target: Target, body: bytes) -> None:
    try:
        target(body)
    except Exception as error:
        error.add_note(f"the input: {body!r}")
        raise


def test_what_was_kept(target: tuple[str, Target]) -> None:
    """Nothing comes of it but what is documented."""
    name, attempt = target
    inputs = fuzzing.kept(name) + fuzzing.seeds(name)
    assert len(inputs) > len(fuzzing.seeds(name)), "something was kept"
    for body in inputs:
        try_(attempt, body)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_what_was_kept_and_spoilt(target: tuple[str, Target]) -> None:
    """The same of inputs near those: bytes that are flipped, cut out and put in, fields of other values."""
    name, attempt = target
    chance = random.Random(4)
    for body in fuzzing.kept(name) + fuzzing.seeds(name):
        for _ in range(TIMES if name != "dispatch" else TIMES // 5):
            spoilt = bytearray(
                fuzzing.spoil(body, chance.getrandbits(32)) if name in fuzzing.OF_MESSAGES and chance.random() < 0.6 else body
            )
            for _ in range(chance.randint(0, 3)):
                at = chance.randrange(len(spoilt) + 1)
                spoilt[at : at + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
            try_(attempt, bytes(spoilt))
