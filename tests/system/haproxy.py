"""conf/haproxy.cfg in a throw-away HAProxy of the Debian package, with the tests' own addresses."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from .pki import Pki
from .ports import accepts, free_port
from .processes import Process

PROGRAM = "/usr/sbin/haproxy"
CONF = Path(__file__).parent.parent.parent / "conf" / "haproxy.cfg"
#: The name that callers use, and those of the daemons, as the file has them.
NAME = "auth.example.org"
SERVERS = ("chat1.example.org", "chat2.example.org")
PORT = 9281


def configuration(folder: Path, pki: Pki, port: int, servers: Sequence[int]) -> str:
    """The documented file; of what is in it, ports, paths and users are made ours."""
    text = CONF.read_text()
    there: Mapping[str, str] = {
        "    user haproxy\n    group haproxy\n    chroot /var/lib/haproxy\n": "",
        "log /dev/log local0": "log stdout format raw local0",
        "bind :443 ": f"bind 127.0.0.1:{port} ",
        # A daemon that is ended refuses at once; one that runs may be slow on a machine that is
        # busy with other tests, and is not to be taken for one that is away.
        "timeout connect 1s": "timeout connect 15s\n    timeout check 15s",
        "/etc/haproxy/auth.example.org.pem": str(folder / "chain-and-key.pem"),
        "/etc/haproxy/authbridge-ca.pem": str(pki.ca),
        **{
            f"server {name.partition('.')[0]} {name}:{PORT} ": (
                f"server {name.partition('.')[0]} 127.0.0.1:{at} "
            )
            for name, at in zip(SERVERS, servers, strict=True)
        },
    }
    for shown, ours in there.items():
        assert text.count(shown) == 1, shown
        text = text.replace(shown, ours)
    return text


class Haproxy:
    """One HAProxy in the foreground."""

    def __init__(self, folder: Path, pki: Pki, servers: Sequence[int]) -> None:
        """`servers` are the daemons' ports with TLS."""
        self.port = free_port()
        self.log = folder / "haproxy.log"
        self._file = folder / "haproxy.cfg"
        self._process: Process | None = None
        folder.mkdir(parents=True)
        both = folder / "chain-and-key.pem"
        both.touch(mode=0o600)
        both.write_bytes(pki.chain.read_bytes() + pki.key.read_bytes())
        self._file.write_text(configuration(folder, pki, self.port, servers))

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        self._process = Process([PROGRAM, "-db", "-f", str(self._file)], self.log)
        self._process.wait_until_up(lambda: accepts(self.port), "HAProxy accepts")

    def stop(self) -> None:
        """SIGTERM, and wait for its end."""
        if self._process is not None:
            self._process.stop()
            self._process = None
