"""A PostgreSQL server of the tests' own, in a temporary folder; started, stopped and killed as a test wants."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

PASSWORD = "right-word"
"""Of the user "spectrain", who needs one; "postgres" needs none."""


def binaries() -> Path | None:
    """Return the folder of the server's programs; None where there is none."""
    found = [Path(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    on_path = shutil.which("initdb")
    found += [Path(on_path).resolve().parent] if on_path else []
    return next((one for one in found if (one / "initdb").is_file() and (one / "postgres").is_file()), None)


class PostgresServer:
    """One server; a user who is root runs it as "postgres", as it refuses to run as root.

    Attributes:
        port: on 127.0.0.1, kept over restarts.
    """

    def __init__(self, fsync: bool = False) -> None:
        programs = binaries()
        if programs is None:
            raise FileNotFoundError("PostgreSQL's programs are not installed: apt-get install postgresql")
        self._bin, self._process = programs, None
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # a database is 300 files
        self._folder = Path(tempfile.mkdtemp(prefix="spectrain-postgres-", dir=memory))
        self._user: dict[str, object] = {}
        if os.geteuid() == 0:
            entry = pwd.getpwnam("postgres")
            os.chown(self._folder, entry.pw_uid, entry.pw_gid)
            self._user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._data = self._folder / "data"
        self._run("initdb", "-D", str(self._data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
        rules = "host all spectrain 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n"
        (self._data / "pg_hba.conf").write_text(rules)
        settings = [f"port = {self.port}", "listen_addresses = '127.0.0.1'", "unix_socket_directories = ''"]
        settings += ["max_connections = 150", "shared_buffers = 32MB"]
        settings += [] if fsync else ["fsync = off", "full_page_writes = off"]
        with (self._data / "postgresql.conf").open("a") as file:
            file.write("\n".join(settings) + "\n")
        self.start()
        self.execute(f"CREATE USER spectrain PASSWORD '{PASSWORD}' CREATEDB")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._bin / program), *arguments]
        result = subprocess.run(command, cwd=self._folder, capture_output=True, text=True, check=False, **self._user)
        if result.returncode:
            raise RuntimeError(f"{program}: {result.stderr or result.stdout}")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self._folder / "log").open("a") as log:
            command = [str(self._bin / "postgres"), "-D", str(self._data)]
            self._process = subprocess.Popen(
                command, cwd=self._folder, stdout=log, stderr=log, start_new_session=True, **self._user
            )
        for _ in range(600):
            try:
                self.execute("SELECT 1")
                return
            except Exception:
                if self._process.poll() is not None:
                    break
                time.sleep(0.05)
        raise RuntimeError(f"the server does not start: {(self._folder / 'log').read_text()[-2000:]}")

    def stop(self, immediate: bool = False) -> None:
        """Stop it: all connections are cut. ``immediate`` is as a crash: what was not committed is gone."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT if immediate else signal.SIGINT)
            self._process.wait(30)
            self._process = None

    def execute(self, statement: str, database: str = "postgres") -> list[tuple]:
        """Carry out a statement as "postgres"; return its rows."""
        import psycopg

        with psycopg.connect(self.url_of(database), autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def url_of(self, database: str, user: str = "postgres") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Make an empty database; return its address."""
        name = f"d{uuid.uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url_of(name)

    def close(self) -> None:
        """Stop it, and remove its folder."""
        self.stop(immediate=True)
        shutil.rmtree(self._folder, ignore_errors=True)
