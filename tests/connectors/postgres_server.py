"""A PostgreSQL server of the tests' own, by the programs that are installed; its data goes with it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psycopg

USER = "postgres"
HBA = "host all locked 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\nlocal all all trust\n"
SETTINGS = (
    "listen_addresses = '127.0.0.1'\nfsync = off\nautovacuum = off\nshared_buffers = 16MB\nmax_connections = 20\n"
)


def programs() -> Path | None:
    """Where the server's programs are: on the path, or where Debian puts those of each version."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return places[-1].parent if places else None


class PostgresServer:
    """Runs between `start` and `stop`; `remove` takes all of it away."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._folder = tempfile.mkdtemp(prefix="postgres-", dir="/tmp")
        self._data = f"{self._folder}/data"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        if os.geteuid() == 0:
            shutil.chown(self._folder, USER)
        options = ["--no-sync", "-A", "trust", "-U", USER, "-E", "UTF8", "--locale=C.UTF-8"]
        subprocess.run(self._command("initdb", *options), cwd="/", check=True, capture_output=True, timeout=60)
        Path(self._data, "pg_hba.conf").write_text(HBA)
        with Path(self._data, "postgresql.conf").open("a") as file:
            file.write(f"{SETTINGS}port = {self.port}\nunix_socket_directories = '{self._folder}'\n")

    def conninfo(self, **changes: Any) -> str:
        said = {"host": "127.0.0.1", "port": self.port, "user": USER, "dbname": "postgres"} | changes
        return " ".join(f"{key}={value}" for key, value in said.items())

    def start(self) -> None:
        with Path(self._folder, "log").open("a") as log:
            self._process = subprocess.Popen(
                self._command("postgres"), cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        end, pause = time.monotonic() + 60, threading.Event()
        while True:
            try:
                self.sql("SELECT 1")
                return
            except psycopg.OperationalError:
                assert self._process.poll() is None, Path(self._folder, "log").read_text()
                assert time.monotonic() < end
                pause.wait(0.02)

    def stop(self) -> None:
        """Without a word to anybody, as if the machine had failed."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(60)

    def sql(self, *statements: str) -> list[Any]:
        """The rows of the last statement."""
        with psycopg.connect(self.conninfo(), autocommit=True) as db:
            for statement in statements:
                cursor = db.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def _command(self, program: str, *arguments: str) -> list[str]:
        """The server refuses to be root, and must not outlive the tests, however these end."""
        user = [f"--reuid={USER}", f"--regid={USER}", "--clear-groups"] if os.geteuid() == 0 else []
        return ["setpriv", *user, "--pdeathsig=QUIT", str(self._programs / program), "-D", self._data, *arguments]
