"""Users who type a password: the browser keeps that, and never a token.

Chromium without a screen has no store of passwords. So the browser's own part is played by a
recorded stand-in: it keeps what a form with a password was sent with, as a browser does whose user
agrees, and gives it out by `navigator.credentials.get` (Credential Management Level 1).
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .browser import Person
from .browser_world import World, running_world
from .canary import secret

_STAND_IN = """
    addEventListener('submit', ({ target }) => {
        const password = target.querySelector('input[type=password]');
        if (password) keepPassword(target.elements.jid.value, password.value);
    }, true);
    const own = {
        get: async (options) => {
            const kept = await givePassword(JSON.stringify(options));
            return kept && { type: 'password', id: kept[0], password: kept[1] };
        },
        store: async (credential) => keepPassword(credential.id, credential.password),
        create: async (options) => options.password,
        preventSilentAccess: async () => {},
    };
    Object.defineProperty(navigator, 'credentials', { value: own });
"""


class Store:
    """What somebody's browser keeps of his passwords."""

    def __init__(self, person: Person) -> None:
        self.kept: list[tuple[str, str]] = []
        #: With which options it was asked for one.
        self.asked: list[str] = []
        person.context.expose_function("keepPassword", self._keep)
        person.context.expose_function("givePassword", self._give)
        person.context.add_init_script(_STAND_IN)

    def _keep(self, name: str, password: str) -> None:
        self.kept.append((name, password))

    def _give(self, options: str) -> tuple[str, str] | None:
        self.asked.append(options)
        return self.kept[-1] if self.kept else None


@pytest.fixture(scope="module")
def shared_world(workspace: Path) -> Iterator[World]:
    """Everything; tests take `world`."""
    with running_world(workspace / "chromium-passwords") as running:
        yield running


@pytest.fixture
def world(shared_world: World) -> Iterator[World]:
    """Everything, and nobody there."""
    yield shared_world
    shared_world.restore()


@pytest.mark.parametrize("page", ["converse14", "converse10"])
@pytest.mark.parametrize("server", ["prosody", "ejabberd"])
def test_who_has_typed_his_password_is_logged_in_again_after_a_reload(
    world: World, server: str, page: str
) -> None:
    """With what his browser has kept, which is that password, and in none of the page's stores."""
    person = world.nobody(server)
    password = secret("typed").decode()
    world.daemon.give_passwords({person.jid: password.encode()})
    store = Store(person)
    tab = person.visit(page, mode="password")
    tab.page.locator("input[name=jid]").fill(person.jid)
    tab.page.locator("input[name=password]").fill(password)
    tab.page.locator("input[name=password]").press("Enter")
    first = tab.connected()
    assert store.kept == [(person.jid, password)]
    assert password not in tab.kept()
    asked = len(store.asked)

    tab.reload()
    assert tab.connected().partition("/")[0] == first.partition("/")[0] == person.jid
    assert len(store.asked) > asked
    tab.picture(f"{page}-{server}-password")
    assert store.kept == [(person.jid, password)]
    assert password not in tab.kept()
    assert person.asked("/credentials") == []
    assert world.daemon.count(f"jid={person.jid} ", "reason=password_matches") == 2


@pytest.mark.parametrize("page", ["converse14", "converse10"])
def test_who_comes_with_a_token_is_not_asked_for_a_password_and_his_token_is_not_kept(
    world: World, page: str
) -> None:
    person = world.somebody("prosody")
    store = Store(person)
    tab = person.visit(page, mode="credentials")
    tab.connected()
    tab.reload()
    tab.connected()
    assert person.asked("/credentials") == [200, 200]
    assert store.kept == []
    assert store.asked == []
