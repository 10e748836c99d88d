"""The authorities that the environment names, looked at before a package trips over them.

Providers' packages say of a file that is not there neither its name nor the variable's.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from tutelage.rl.errors import UserError


class CertificateError(UserError):
    """A file or folder of certificates that cannot be used. The message names the variable."""


def check_certificates() -> None:
    """Raises CertificateError for a variable that names no certificates, or no folder."""
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if file:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
        except OSError as error:  # an SSLError is one: the file holds no certificate
            is_read = isinstance(error, ssl.SSLError)
            why = "holds no certificate in PEM format" if is_read else f"{error.strerror}"
            raise CertificateError(f"SSL_CERT_FILE = {file}: {why}; mend or unset it") from error
    if folder and not any(Path(each).is_dir() for each in folder.split(os.pathsep)):
        raise CertificateError(f"SSL_CERT_DIR = {folder}: no such folder; mend or unset it")
