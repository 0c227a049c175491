"""Encrypted files: AES-256-GCM in chunks, so that a changed, reordered or truncated file is refused.

    header    the name of the format, a random salt of 32 bytes, and 16 bytes that identify the key
    chunks    1 MiB of text each, the last one shorter, each followed by its tag of 16 bytes

The key of a file is derived from the secret and the salt by HKDF, so a nonce never repeats. The nonce is the number of
the chunk and a byte that marks the last one: the construction STREAM of Hoang, Reyhanitabar, Rogaway and Vizár.
"""

import contextlib
import hmac
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from journey_service.domain.errors import InvalidInputError

_FORMAT: Final = b"journey backup 1\n"
_SALT_BYTES: Final = 32
_CHECK_BYTES: Final = 16
_CHUNK_BYTES: Final = 1 << 20
_TAG_BYTES: Final = 16


class EncryptedFileWriter:
    """Writes a new encrypted file; a context manager.

    The file gets its name, mode 0600, only when the block ends without an error. Raises InvalidInputError if a file of
    this name exists.
    """

    def __init__(self, path: Path, secret: str) -> None:
        self._path = path
        self._staged = path.with_name(f"{path.name}.new")
        salt = os.urandom(_SALT_BYTES)
        key, check = _derive(secret, salt)
        self._header = _FORMAT + salt + check
        self._cipher = AESGCM(key)
        self._pending = bytearray()
        self._number = 0
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        if self._path.exists():
            raise InvalidInputError.at(str(self._path), "exists already")
        self._staged.unlink(missing_ok=True)
        descriptor = os.open(self._staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file = os.fdopen(descriptor, "wb")
        self._file.write(self._header)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._file is not None  # opened by __enter__
        try:
            if error is None:
                self._seal(self._pending, is_last=True)
                self._file.flush()
                os.fsync(self._file.fileno())
        finally:
            self._file.close()
        if error is not None:
            self._staged.unlink(missing_ok=True)
            return
        self._staged.replace(self._path)
        descriptor = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def write(self, data: bytes) -> None:
        """Encrypts bytes; keeps less than a chunk in memory."""
        self._pending += data
        # The last chunk is written at the end, so a full chunk waits for the next byte.
        while len(self._pending) > _CHUNK_BYTES:
            self._seal(self._pending[:_CHUNK_BYTES], is_last=False)
            del self._pending[:_CHUNK_BYTES]

    def _seal(self, text: bytearray, *, is_last: bool) -> None:
        assert self._file is not None  # opened by __enter__
        self._file.write(
            self._cipher.encrypt(_nonce(self._number, is_last=is_last), bytes(text), self._header)
        )
        self._number += 1


def read_encrypted_file(path: Path, secret: str) -> Iterator[bytes]:
    """Yields the decrypted content of a file.

    Raises InvalidInputError if it is not such a file, if the key is another one, or if the file was altered or
    truncated. What was yielded before an error is authentic but incomplete.
    """
    with contextlib.closing(path.open("rb")) as file:
        header = file.read(len(_FORMAT) + _SALT_BYTES + _CHECK_BYTES)
        if not header.startswith(_FORMAT) or len(header) < len(_FORMAT) + _SALT_BYTES + _CHECK_BYTES:
            raise InvalidInputError.at(str(path), "is not a backup of this service, or its start is damaged")
        key, check = _derive(secret, header[len(_FORMAT) : -_CHECK_BYTES])
        if not hmac.compare_digest(check, header[-_CHECK_BYTES:]):
            raise InvalidInputError.at(str(path), "was encrypted with another key, or its start is damaged")
        cipher = AESGCM(key)
        number, sealed = 0, file.read(_CHUNK_BYTES + _TAG_BYTES)
        while True:
            following = file.read(_CHUNK_BYTES + _TAG_BYTES)
            try:
                yield cipher.decrypt(_nonce(number, is_last=not following), sealed, header)
            except InvalidTag:
                raise InvalidInputError.at(str(path), "is damaged or truncated") from None
            if not following:
                return
            number, sealed = number + 1, following


def _nonce(number: int, *, is_last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([is_last])


def _derive(secret: str, salt: bytes) -> tuple[bytes, bytes]:
    """Returns the key of a file and the bytes that identify it."""
    derived = HKDF(
        algorithm=SHA256(), length=32 + _CHECK_BYTES, salt=salt, info=b"journey_service backup"
    ).derive(secret.encode())
    return derived[:32], derived[32:]
