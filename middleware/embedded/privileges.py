"""Under which user, and with which wrapper, a server program is started.

Two needs, both met by `setpriv` of util-linux (always present on Debian):

- A server must not outlive its parent: `--pdeathsig` lets the kernel send it a signal when the parent dies, even by
  SIGKILL. Without `setpriv` (macOS) a left-over server is ended by the next start instead.
- PostgreSQL refuses to run as root. Root starts it as an unprivileged user that exists already. When the programs or
  the data lie in a folder that only root may enter (a clone in its home), that user also gets the capability to pass
  such folders. PostgreSQL asks access(2), which ignores capabilities of other users than root unless the secure bit
  `no_setuid_fixup` is set.
"""

import os
import pwd
import shutil
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from middleware.embedded.errors import EmbeddedServerError

# Reading is enough; many containers only grant the wider one. None at all is tried first.
_CAPABILITIES = ("dac_read_search", "dac_override")


@dataclass(frozen=True, slots=True)
class ServerUser:
    """The user a server runs as."""

    uid: int
    gid: int

    def owns(self, path: Path) -> None:
        """Give one file or folder to this user."""
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid)

    def owns_all(self, folder: Path) -> None:
        """Give a folder and all below it to this user, for instance after root restored a backup."""
        self.owns(folder)
        for path in folder.rglob("*"):
            self.owns(path)


def owner_of(data: Path) -> ServerUser:
    """Return who may write the data: ourselves, or for root the owner, who can use it again later without root."""
    if os.geteuid() != 0:
        return ServerUser(os.geteuid(), os.getegid())
    state = data.stat()
    return ServerUser(state.st_uid, state.st_gid)


def unprivileged_user(data: Path) -> ServerUser:
    """Choose who runs PostgreSQL: ourselves; for root the owner of the data, else `postgres`, else `nobody`.

    Raises:
        EmbeddedServerError: Root finds no unprivileged user on this system.
    """
    if os.geteuid() != 0 or (data.exists() and data.stat().st_uid != 0):
        return owner_of(data)
    users = {entry.pw_name: entry for entry in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in users:
            return ServerUser(users[name].pw_uid, users[name].pw_gid)
    raise EmbeddedServerError(
        "PostgreSQL refuses to run as root and this system has no user `postgres` or `nobody`. "
        "Start taiga-billing as an ordinary user, or set DATABASE_URL."
    )


def server_wrapper(user: ServerUser, signal_name: str, probe: list[str]) -> list[str]:
    """Return the start of a command line that runs a program as `user` and ends it with its parent.

    Args:
        user: Who runs the program.
        signal_name: What the program gets when its parent dies, for `setpriv --pdeathsig`.
        probe: A command that succeeds only with enough rights; the first wrapper under which it does is returned.

    Raises:
        EmbeddedServerError: Root cannot run the program as `user`.
    """
    refusal = "setpriv (util-linux) is not installed"
    for wrapper in _wrappers(user, signal_name):
        result = subprocess.run([*wrapper, *probe], capture_output=True, text=True, cwd="/", check=False)  # noqa: S603 - our own command
        if result.returncode == 0:
            return wrapper
        refusal = result.stderr.strip() or f"exit code {result.returncode}"
    if os.geteuid() == user.uid:
        return []
    raise EmbeddedServerError(
        f"The embedded server could not be started as user id {user.uid} (not as root): {refusal}. "
        "Start taiga-billing as an ordinary user, move DATA_DIR to a folder that user can enter, "
        "or set DATABASE_URL and REDIS_URL."
    )


def _wrappers(user: ServerUser, signal_name: str) -> list[list[str]]:
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return []
    # The kernel means the thread, not the process: a server started in a passing thread would end with it.
    death = [f"--pdeathsig={signal_name}"] if threading.current_thread() is threading.main_thread() else []
    if os.geteuid() == user.uid:
        return [[setpriv, *death, "--"]] if death else []
    switch = [setpriv, f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups", *death]
    granted = [
        [f"--inh-caps=+{name}", f"--ambient-caps=+{name}", "--securebits=+no_setuid_fixup"] for name in _CAPABILITIES
    ]
    return [[*switch, *rights, "--"] for rights in ([], *granted)]
