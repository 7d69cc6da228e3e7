"""The CURVE keys of a cluster, all made from its cookie.

There are three kinds, each a pair of X25519 keys:

- the *server key* of a node, by its name: a dialler knows whom it wants to reach, and only the
  node of that name with the same cookie can answer;
- the *client key* of a node, by its name: whoever accepts a connection learns from the key, not
  from what is claimed, which node is at the other end;
- the *door key*, the same for all: the client key to knock with before one's name is known.

Every holder of the cookie can make every key. So the cookie decides who belongs to the cluster;
the names in the keys keep honest nodes apart (wrong address, stale configuration, a bug), they do
not protect the nodes of a cluster from each other.

No cryptography is made here: BLAKE2b in keyed mode derives the secrets (a keyed pseudo-random
function with a distinct input per key), libzmq does the rest.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, NamedTuple

import zmq
from zmq.utils import z85

from khepri.errors import CurveUnavailableError

if TYPE_CHECKING:
    from .cookie import Cookie

_PERSON: Final = b"khepri-curve-1"  # separates these keys from all else the cookie may ever make
_KEY_BYTES: Final = 32


class KeyPair(NamedTuple):
    """A CURVE key pair in libzmq's text form (Z85)."""

    public: bytes
    secret: bytes

    def __repr__(self) -> str:
        """Show the public half."""
        return f"<KeyPair {self.public.decode()}>"

    @property
    def public_binary(self) -> bytes:
        """The public key as ZAP sends it."""
        return z85.decode(self.public)


class ClusterKeys:
    """Makes the keys of one cluster. Any thread may call; costs about 25 microseconds a key."""

    def __init__(self, cookie: Cookie) -> None:
        """Take the cookie.

        Raises:
            CurveUnavailableError: libzmq cannot do CURVE.
        """
        if not zmq.has("curve"):
            raise CurveUnavailableError("libzmq was built without CURVE; khepri opens no socket")
        self._secret = cookie.secret

    def server(self, node: str) -> KeyPair:
        """Give the key with which a node answers."""
        return self._derive("server", node)

    def client(self, node: str) -> KeyPair:
        """Give the key with which a node sends."""
        return self._derive("client", node)

    def door(self) -> KeyPair:
        """Give the key with which any node knocks."""
        return self._derive("door", "")

    def _derive(self, role: str, node: str) -> KeyPair:
        digest = hashlib.blake2b(
            f"{role}\0{node}".encode(), key=self._secret, digest_size=_KEY_BYTES, person=_PERSON
        ).digest()
        secret = z85.encode(digest)
        return KeyPair(zmq.curve_public(secret), secret)
