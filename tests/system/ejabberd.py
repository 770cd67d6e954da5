"""A throw-away ejabberd of the Debian package, started directly through `erl`.

Debian's ejabberdctl insists on root or the user "ejabberd"; the Erlang VM with the same arguments
runs as anybody. No epmd: the node listens on a port of its own, with its own cookie and home.
"""

import http.client
import json
import os
import shlex
import signal
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from .pki import Pki
from .ports import accepts, free_port
from .processes import Process, all_pids, parent, running_with

_LIBRARIES = next(iter(sorted(Path("/usr/lib").glob("*/ejabberd-*/ebin")))).parent.parent

_CONFIGURATION = """\
loglevel: info
hosts: {hosts}
certfiles: ["{chain}"]
auth_method: external
extauth_program: {program}
extauth_pool_name: tests
extauth_pool_size: {pool_size}
auth_use_cache: {use_cache}
listen:
  - port: {port}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    backlog: 1024
    starttls_required: true
    max_stanza_size: 65536
  - port: {api_port}
    ip: "127.0.0.1"
    module: ejabberd_http
    backlog: 1024
    request_handlers:
      /api: mod_http_api
api_permissions:
  local:
    from: [ejabberd_ctl, mod_http_api]
    who: all
    what: "*"
registration_timeout: infinity
{top}
modules:
  mod_admin_extra: {{}}
  mod_disco: {{}}
  mod_offline: {{}}
  mod_ping: {{}}
  mod_roster: {{}}
  mod_register:
    access: all
    access_remove: all
    ip_access: all
{modules}
"""


class Ejabberd:
    """One node; `start` and `stop` may alternate, the spool and the ports stay."""

    def __init__(
        self,
        folder: Path,
        pki: Pki,
        hosts: Sequence[str],
        extauth_program: str,
        *,
        pool_size: int = 2,
        use_cache: bool = False,
        modules: Iterable[str] = (),
        top: str = "",
    ) -> None:
        self.folder = folder
        self.port, self._api_port, self._dist_port = free_port(), free_port(), free_port()
        self.log = folder / "logs" / "ejabberd.log"
        #: The node's stdout and stderr, and so the stderr of every program it starts.
        self.output = folder / "erl.out"
        self._node = f"authbridge{self._dist_port}@localhost"
        # Tells the programs from others that ejabberd starts (memsup).
        self._last_argument = shlex.split(extauth_program)[-1]
        self._process: Process | None = None
        self._spool = folder / "spool"
        self._spool.mkdir(parents=True)
        (folder / "ejabberd.yml").write_text(
            _CONFIGURATION.format(
                hosts=json.dumps(list(hosts)),
                chain=pki.chain,
                program=json.dumps(extauth_program),
                pool_size=pool_size,
                use_cache=json.dumps(use_cache),
                port=self.port,
                api_port=self._api_port,
                top=top,
                modules="\n".join(f"  {line}" for line in modules),
            )
        )

    def _erl(self, name: str, *arguments: str) -> list[str]:
        return [
            *("/usr/bin/erl", "-sname", name, "-setcookie", "authbridge-tests", "-hidden"),
            *("-erl_epmd_port", str(self._dist_port), "-start_epmd", "false"),
            *("-kernel", "inet_dist_use_interface", "{127,0,0,1}"),
            # Schedulers that spin for work would take the two cores from everybody else.
            *("+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none"),
            *arguments,
        ]

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self.folder),
            "ERL_LIBS": str(_LIBRARIES),
            "ERL_CRASH_DUMP": str(self.folder / "erl_crash.dump"),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "EJABBERD_CONFIG_PATH": str(self.folder / "ejabberd.yml"),
            "EJABBERD_LOG_PATH": str(self.log),
            "EJABBERD_PID_PATH": str(self.folder / "ejabberd.pid"),
        }

    @property
    def process(self) -> Process:
        """The running Erlang VM."""
        assert self._process is not None, "ejabberd is not started"
        return self._process

    def start(self) -> None:
        """Start the node and wait until its listeners accept."""
        self._process = Process(
            self._erl(
                self._node,
                *("-noinput", "-mnesia", "dir", f'"{self._spool}"', "-s", "ejabberd"),
            ),
            self.output,
            environment=self._environment(),
            folder=self._spool,
        )
        self._process.wait_until_up(
            lambda: accepts(self.port) and accepts(self._api_port), "ejabberd accepts connections"
        )

    def stop(self) -> None:
        """An orderly stop (SIGTERM is Erlang's init:stop)."""
        self.process.stop()
        self._process = None

    def kill(self) -> None:
        """SIGKILL: nothing of ejabberd gets to clean up."""
        self.process.send(signal.SIGKILL)
        self.process.wait()
        self._process = None

    @property
    def started(self) -> bool:
        """True between start and stop."""
        return self._process is not None

    def programs(self) -> list[int]:
        """Pids of the extauth programs among what the VM's child-starter has started."""
        starters = {pid for pid in all_pids() if parent(pid) == self.process.pid}
        return [pid for pid in running_with(self._last_argument) if parent(pid) in starters]

    def ctl(self, *arguments: str) -> tuple[int, str]:
        """`ejabberdctl ARGUMENTS`: exit status and output. No secrets: they would show in ps."""
        name = f"ctl{free_port()}@localhost"
        done = subprocess.run(
            self._erl(
                name,
                *("-dist_listen", "false", "-noinput", "-s", "ejabberd_ctl"),
                *("-extra", self._node, *arguments),
            ),
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=90,
            check=False,
        )
        return done.returncode, done.stdout

    def api(self, command: str, *, bearer: bytes = b"", **arguments: str) -> tuple[int, str]:
        """The same commands through mod_http_api: HTTP status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self._api_port, timeout=90)
        try:
            body = json.dumps(arguments).encode()
            headers = {"Content-Type": "application/json"}
            if bearer:
                headers["Authorization"] = f"Bearer {bearer.decode()}"
            connection.request("POST", f"/api/{command}", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()
