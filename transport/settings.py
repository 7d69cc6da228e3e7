"""What can be set on a transport, with the reason for each default.

docs/explanation/transport.md says what happens when a limit is reached.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

from khepri.errors import InvalidOptionError

_KIBIBYTE = 1024
_MEBIBYTE = 1024 * _KIBIBYTE


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportSettings:
    """Limits and times of one transport. Every node of a cluster should have the same limits.

    Raises:
        InvalidOptionError: a value is not positive, or two of them contradict each other.
    """

    message_bytes: int = 5 * _MEBIBYTE
    """The largest body. Senders refuse more, since all a receiver could do is cut the link.
    Snapshot chunks are 256 KiB; a command may have 4 MiB and travels in something larger."""
    batch_bytes: int = 64 * _KIBIBYTE
    """Waiting messages share a frame up to this size. Larger frames gain nothing, see the
    measurements, and let an urgent message wait longer."""
    queue_bytes: int = 32 * _MEBIBYTE
    """What may wait for one peer. High-water marks count frames, so this is what bounds memory."""
    high_water_mark_frames: int = 8
    """Frames that libzmq may hold per direction and peer, beyond the queue above. Small: what
    waits in the queue can still share a frame, what waits in libzmq cannot."""
    hold_seconds: float = 1.0
    """How long messages wait for a peer that is not connected yet, or was lost just now. Older
    Raft messages are worth less than nothing."""

    connect_timeout_seconds: float = 3.0
    handshake_timeout_seconds: float = 3.0
    """How long a connection may take to prove who it is; also how long a silent one is kept."""
    probe_interval_seconds: float = 1.0
    """How often the kernel asks whether the other end of an idle connection is there. TCP counts
    whole seconds, and at least one."""
    silence_timeout_seconds: float = 4.0
    """A peer that was switched off, or takes nothing any more, is noticed after this time."""
    redial_delay_seconds: float = 0.1
    """The pause before the second attempt to connect; it doubles from attempt to attempt."""
    redial_delay_limit_seconds: float = 2.0
    """Where the pause stops growing. A peer that comes back greets, and is dialled at once."""
    forget_seconds: float = 60.0
    """A peer that cannot be reached and that nobody wants to reach is dialled no more after this:
    it was a guest. Sending to it begins anew."""
    stranger_limit: int = 128
    """Connections that have not proved who they are, at most; the oldest is closed first. Never
    more than an eighth of the process's limit of open files."""
    accept_backlog: int = 512
    """Connections the kernel may keep waiting for us."""

    @classmethod
    def for_commands_of(cls, command_bytes: int) -> Self:
        """Give the settings with which commands of up to that size can be replicated."""
        message_bytes = max(cls().message_bytes, command_bytes + _MEBIBYTE)
        return cls(
            message_bytes=message_bytes, queue_bytes=max(cls().queue_bytes, 4 * message_bytes)
        )

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise InvalidOptionError(
                    f"{field.name} must be above 0, not {value!r}", option=field.name, value=value
                )
        self._require_above("queue_bytes", "message_bytes")
        self._require_above("silence_timeout_seconds", "probe_interval_seconds")

    def _require_above(self, larger: str, smaller: str) -> None:
        value = getattr(self, larger)
        if not value > getattr(self, smaller):
            raise InvalidOptionError(
                f"{larger} must be above {smaller}", option=larger, value=value
            )

    @property
    def frame_bytes(self) -> int:
        """The largest frame: one full batch or one largest message, and what names them."""
        return max(self.message_bytes, self.batch_bytes) + 4 * _KIBIBYTE
