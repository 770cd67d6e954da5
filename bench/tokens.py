"""What a token costs: the library's bare verification, our checker, and a whole login.

All in one process, in turns, and of this process the CPU time. The library is given its key object,
made once, and the one algorithm; it judges no claim. Compact and xcauth tokens have no library:
beside them stands the HMAC of the same octets, compared. Every token is another user's, and every
verdict is looked at.
"""

from __future__ import annotations

import hmac
import importlib.util
import statistics
import time
import warnings
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from twisted.internet import reactor

from authbridge import config, wiring
from authbridge.model import JID, TOKEN_VALID, Outcome
from authbridge.secret import Secret
from authbridge.tokens import compact, xcauth
from bench.passwords import HS256_KEY, KEY, LIFETIME, XCAUTH_KEY, expiry
from bench.rounds import goal, print_table, progress
from bench.workplace import Daemon, Workplace, jids

LOGINS = 500
"""Of one turn."""
LIMIT = 20.0
"""Microseconds that the bridge may add."""
DEADLINE = 8.0
HS256_ISSUER = "https://bench.example.org"
"""Of each daemon of the benchmarks."""
PAIRS: dict[str, Callable[[], RSAKey | ECKey | OKPKey]] = {
    "RS256": partial(RSAKey.generate_key, 2048),
    "PS256": partial(RSAKey.generate_key, 2048),
    "ES256": partial(ECKey.generate_key, "P-256"),
    "EdDSA": partial(OKPKey.generate_key, "Ed25519"),
}
LIBRARY, PYJWT, CHECKER, LOGIN = "bare", "PyJWT", "checker", "login"

_ISSUER = """
[issuers."https://{name}.example.org"]
keys = ["{name}.pem"]
algorithms = ["{algorithm}"]
domains = ["*"]
max_lifetime = "1h"
"""

Pair = OctKey | RSAKey | ECKey | OKPKey
Way = Callable[[Any], object]
"""Judges what stands for one login."""
Ways = dict[str, tuple[Way, list[Any], object]]
"""By name: itself, what it is given for each login, and what it says of a right one."""


@dataclass(frozen=True)
class Measured:
    """A kind of token, and the ways to judge it."""

    ways: Ways
    octets: int


def make_jwt(jid: str, algorithm: str, key: Pair, issuer: str) -> str:
    """A token of a website's, with the claims that it needs and no more."""
    domain = jid.partition("@")[2]
    end = expiry()
    claims = {"iss": issuer, "sub": jid, "aud": f"xmpp:{domain}", "iat": end - LIFETIME, "exp": end}
    header = {"alg": algorithm, "kid": key.kid or key.thumbprint()}
    return jwt.encode(header, claims, key, algorithms=[algorithm])


def make_hs256(jid: str) -> str:
    """One that each daemon of the benchmarks accepts."""
    return make_jwt(jid, "HS256", OctKey.import_key(HS256_KEY), HS256_ISSUER)


def run(place: Workplace, rounds: int, seconds: float) -> None:
    """Measure, and print; how long a turn is, is its own affair."""
    warnings.simplefilter("ignore", SecurityWarning)  # EdDSA has another name since RFC 9864
    keys = {name: make() for name, make in PAIRS.items()}
    daemon = Daemon(place, "tokens", logins="refused", start=False)
    with daemon.configuration.open("a") as text:
        for algorithm, key in keys.items():
            name = algorithm.lower()
            (daemon.folder / f"{name}.pem").write_bytes(key.as_pem(private=False))
            text.write(_ISSUER.format(name=name, algorithm=algorithm))
    house = wiring.build(config.load(daemon.configuration), lambda _line: None, reactor)
    bridge = Bridge(house)

    users = [f"{user}@{domain}" for user, domain in jids()[:LOGINS]]
    kinds = {"HS256": of_jwt(bridge, users, "HS256", OctKey.import_key(HS256_KEY), HS256_ISSUER)}
    for algorithm, key in keys.items():
        issuer = f"https://{algorithm.lower()}.example.org"
        kinds[algorithm] = of_jwt(bridge, users, algorithm, key, issuer)
    first = b"authbridge compact 1\0login\0"
    kinds["compact"] = of_mac(bridge, users, compact, KEY, first)
    kinds["xcauth"] = of_mac(bridge, users, xcauth, XCAUTH_KEY, b"\0")
    costs = measure(kinds, rounds)

    rows = []
    for kind, found in costs.items():
        middle = {way: f"{statistics.median(turns):.1f}" for way, turns in found.items()}
        rows.append(
            (
                kind,
                str(kinds[kind].octets),
                middle[LIBRARY],
                middle.get(PYJWT, ""),
                middle[CHECKER],
                f"{added(found, CHECKER):+.1f}",
                middle[LOGIN],
                f"{added(found, LOGIN):+.1f}",
            )
        )
    heads = ("", "octets", LIBRARY, PYJWT, CHECKER, "adds", LOGIN, "adds")
    title = "a token, CPU µs (bare: joserfc, or the HMAC alone; PyJWT judges dates and aud, too)"
    print_table(title, heads, rows)
    for kind, found in costs.items():
        goal(f"{kind}: the bridge adds", added(found, CHECKER), LIMIT, unit="µs")


class Bridge:
    """The checker and the authenticator that the configuration makes."""

    def __init__(self, house: wiring.House) -> None:
        self._checker = house.checkers["tokens"].checker
        self._authenticator = house.authenticator

    def ways(self, users: Sequence[str], tokens: Sequence[str]) -> Ways:
        """Through the checker alone, and from the authenticator's door."""
        about = []
        for user, token in zip(users, tokens, strict=True):
            local, _, domain = user.partition("@")
            secret = Secret(token.encode())
            about.append((JID(local, domain), local.encode(), domain.encode(), secret))
        return {
            CHECKER: (self._check, about, TOKEN_VALID),
            LOGIN: (self._log_in, about, TOKEN_VALID),
        }

    def _check(self, about: tuple[JID, bytes, bytes, Secret]) -> object:
        return at_once(self._checker.check_password(about[0], about[3], None))

    def _log_in(self, about: tuple[JID, bytes, bytes, Secret]) -> object:
        _, user, domain, secret = about
        answer = self._authenticator.check_password("extauth", user, domain, secret, DEADLINE)
        return answer.result


def at_once(asking: Coroutine[Any, Any, Outcome]) -> Outcome:
    """What a checker says that waits for nobody."""
    try:
        asking.send(None)
    except StopIteration as end:
        outcome: Outcome = end.value
        return outcome
    raise RuntimeError("the checker waits for something")


def of_jwt(
    bridge: Bridge, users: Sequence[str], algorithm: str, key: Pair, issuer: str
) -> Measured:
    """JSON Web Tokens, and the libraries for them."""
    tokens = [make_jwt(user, algorithm, key, issuer) for user in users]
    public = key if isinstance(key, OctKey) else type(key).import_key(key.as_pem(private=False))

    def library(token: str) -> None:
        jwt.decode(token, public, algorithms=[algorithm])

    ways: Ways = {LIBRARY: (library, tokens, None)}
    if importlib.util.find_spec("jwt") is not None:
        import jwt as pyjwt

        def other_library(token: str) -> None:
            audience = "xmpp:example.org"
            pyjwt.decode(token, public.raw_value, algorithms=[algorithm], audience=audience)

        ways[PYJWT] = (other_library, tokens, None)
    return Measured(ways | bridge.ways(users, tokens), len(tokens[0]))


def of_mac(bridge: Bridge, users: Sequence[str], kind: Any, key: bytes, first: bytes) -> Measured:
    """Compact or xcauth tokens, whose MAC is over `first`, what they begin with, and the user."""
    tokens = [kind.make(key, user, expiry()) for user in users]
    read = [kind.read(token.encode()) for token in tokens]
    octets = len(read[0].mac)

    def bare(about: tuple[bytes, bytes]) -> bool:
        message, mac = about
        return hmac.compare_digest(hmac.digest(key, message, "sha256")[:octets], mac)

    messages = [
        (first + one.head + user.encode(), one.mac) for one, user in zip(read, users, strict=True)
    ]
    ways: Ways = {LIBRARY: (bare, messages, True)}
    return Measured(ways | bridge.ways(users, tokens), len(tokens[0]))


def measure(kinds: dict[str, Measured], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Microseconds of CPU, by kind and way, of each round."""
    ways = [(kind, way) for kind, measured in kinds.items() for way in measured.ways]
    costs: dict[str, dict[str, list[float]]] = {kind: {} for kind in kinds}
    for number in range(rounds + 1):
        # Every other round backwards: what drifts then hits each way alike.
        for kind, way in ways if number % 2 else reversed(ways):
            progress(f"round {number} of {rounds}: {kind}, {way}")
            cost = turn(kind, way, *kinds[kind].ways[way])
            if number:  # the first is to warm up
                costs[kind].setdefault(way, []).append(cost)
    progress("")
    return costs


def turn(kind: str, name: str, way: Way, about: list[Any], right: object) -> float:
    """Microseconds of CPU of one."""
    before = time.process_time()
    found = [way(one) for one in about]
    used = time.process_time() - before
    if any(one != right for one in found):
        raise RuntimeError(f"{kind}, {name}: {found[0]}")
    return used * 1e6 / len(about)


def added(found: dict[str, list[float]], way: str) -> float:
    """Microseconds above the library's, the median over the rounds."""
    return statistics.median(a - b for a, b in zip(found[way], found[LIBRARY], strict=True))
