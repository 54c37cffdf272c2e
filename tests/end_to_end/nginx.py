"""An nginx with the configuration of `deploy/`, on loopback, with a folder of its own instead of a service."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hub.clock import SystemClock
from tests.ports import free_port

__all__ = ["behind_nginx"]

ROOT = Path(__file__).parents[2]
_MAIN = """
{user}
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 256; }}
http {{
    # of servers that name none: the program's own place is there only where the package was installed
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/hub.conf;
}}
"""


@contextlib.contextmanager
def behind_nginx(folder: Path, ports: tuple[int, int]) -> Iterator[tuple[str, Path]]:
    """Two web processes on ``ports`` behind one https address; that, and the certificate that it bears."""
    folder.mkdir()
    port = free_port()
    _certify(folder)
    text = (ROOT / "deploy/nginx/hub.conf").read_text(encoding="utf-8")
    text = re.sub(r"^\s*listen \[::\].*\n", "", text, flags=re.MULTILINE)
    for name, own in (
        ("127.0.0.1:8081", f"127.0.0.1:{ports[0]}"),
        ("127.0.0.1:8082", f"127.0.0.1:{ports[1]}"),
        ("listen 443 ", f"listen 127.0.0.1:{port} "),
        ("listen 80;", f"listen 127.0.0.1:{free_port()};"),
        ("/etc/ssl/hub/", f"{folder}/"),
        ("/var/log/nginx/", f"{folder}/"),
        # a machine that runs tests is slower than a caller is patient
        ("proxy_read_timeout 1s;", "proxy_read_timeout 20s;"),
        ("proxy_read_timeout 4s;", "proxy_read_timeout 20s;"),
        ("proxy_connect_timeout 300ms;", "proxy_connect_timeout 20s;"),
    ):
        assert name in text, name
        text = text.replace(name, own)
    (folder / "hub.conf").write_text(text, encoding="utf-8")
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(_MAIN.format(folder=folder, user=user), encoding="utf-8")
    command = [_program(), "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]
    running = subprocess.Popen(command)
    try:
        _answers(running, port, folder)
        yield f"https://127.0.0.1:{port}", folder / "fullchain.pem"
    finally:
        running.terminate()
        running.wait(30)


def _program() -> str:
    """The system's, or the one that scripts/test unpacked."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", str(ROOT / ".venv/nginx/usr/sbin")))
    found = shutil.which("nginx", path=path)
    assert found is not None, "there is no nginx: scripts/test brings one"
    return found


def _answers(running: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError as error:
            if running.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"nginx does not serve: {(folder / 'error.log').read_text()}") from error
            time.sleep(0.02)
        else:
            return


def _certify(folder: Path) -> None:
    """A key and a certificate of its own for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hub.example.com")])
    now = SystemClock().now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "fullchain.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    (folder / "privkey.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    )
