"""One temporary token, shown by many at once: as often as it may be used it is accepted, and not
once more."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path

import pytest

from .canary import watched
from .rush import NO, YES, Rush, Shown, changed, rush
from .token_load import BASES, base
from .token_site import DOMAIN, ELSEWHERE, TokenSite

ROUNDS = 5
AT_ONCE = 100


class Crowd:
    """The daemons of one base, and everybody who comes."""

    def __init__(self, sites: Sequence[TokenSite], visitors: Rush) -> None:
        self.sites = sites
        self.visitors = visitors
        self._names = (f"visitor-{number}@{DOMAIN}" for number in range(1_000_000))

    def newcomer(self) -> str:
        """The JID of somebody who was never there."""
        return next(self._names)

    def reasons(self, jid: str) -> Counter[str]:
        """Of all logins of a user, in the logs of all."""
        return Counter(login["reason"] for site in self.sites for login in site.logins(jid))


@pytest.fixture(scope="module", params=BASES)
def crowd(request: pytest.FixtureRequest, workspace: Path) -> Iterator[Crowd]:
    """One daemon with a file, or two with one Redis."""
    with (
        base(workspace / f"races-{request.param}", request.param) as (sites, _),
        rush(*sites) as visitors,
    ):
        yield Crowd(sites, visitors)


def answers(found: Sequence[tuple[Shown, str]]) -> Counter[str]:
    """How often each was answered."""
    return Counter(answer for _, answer in found)


@pytest.mark.parametrize("number", range(ROUNDS))
def test_token_shown_by_a_hundred_at_once_is_accepted_once(crowd: Crowd, number: int) -> None:
    """Over HTTP and through ejabberd's programs; the others are told no, and all daemons agree."""
    jid = crowd.newcomer()
    token = crowd.sites[number % len(crowd.sites)].issue(jid)
    found = crowd.visitors.come([(jid, token.octets)] * AT_ONCE, together=bool(number % 2))
    assert answers(found) == {YES: 1, NO: AT_ONCE - 1}
    assert crowd.reasons(jid) == {"token_valid": 1, "token_used": AT_ONCE - 1}
    assert [site.accepts(token) for site in crowd.sites] == [False for _ in crowd.sites]


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "together"])
def test_token_of_three_uses_is_accepted_three_times(crowd: Crowd, together: bool) -> None:
    """Whoever is the fourth is told no."""
    jid = crowd.newcomer()
    token = crowd.sites[0].issue(jid, uses=3)
    found = crowd.visitors.come([(jid, token.octets)] * AT_ONCE, together=together)
    assert answers(found) == {YES: 3, NO: AT_ONCE - 3}
    assert crowd.reasons(jid) == {"token_valid": 3, "token_used": AT_ONCE - 3}


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "together"])
def test_token_of_any_number_of_uses_is_accepted_each_time(crowd: Crowd, together: bool) -> None:
    """Nobody is turned away because others come as well."""
    jid = crowd.newcomer()
    token = crowd.sites[-1].issue(jid, uses="any")
    found = crowd.visitors.come([(jid, token.octets)] * AT_ONCE, together=together)
    assert answers(found) == {YES: AT_ONCE}


def test_wrong_user_and_wrong_domain_and_changed_token_burn_nothing(crowd: Crowd) -> None:
    """Though they come first, and a hundred times; whose it is then gets in, once."""
    jid, other = crowd.newcomer(), crowd.newcomer()
    token = crowd.sites[0].issue(jid)
    elsewhere = jid.replace(DOMAIN, ELSEWHERE)
    wrong = [
        (other, token.octets),
        (elsewhere, token.octets),
        (jid, watched(changed(token.octets))),
    ]
    found = crowd.visitors.come(list(islice(cycle(wrong), AT_ONCE)), together=False)
    assert answers(found) == {NO: AT_ONCE}
    assert crowd.reasons(other).keys() == {"token_user_wrong"}
    assert crowd.reasons(elsewhere).keys() == {"token_user_wrong"}
    assert crowd.reasons(jid).keys() == {"token_unknown"}
    assert [crowd.sites[-1].accepts(token) for _ in range(2)] == [True, False]


def test_token_is_accepted_once_in_a_crowd_of_wrong_ones(crowd: Crowd) -> None:
    """Whoever has it for somebody else, or another one for him, changes nothing in either way."""
    jid, other = crowd.newcomer(), crowd.newcomer()
    token = crowd.sites[-1].issue(jid)
    shown = [(jid, token.octets), (other, token.octets), (jid, watched(changed(token.octets)))]
    found = crowd.visitors.come(list(islice(cycle(shown), AT_ONCE)), together=True)
    accepted = [one for one, answer in found if answer == YES]
    assert accepted == [shown[0]]
    assert answers(found) == {YES: 1, NO: AT_ONCE - 1}
