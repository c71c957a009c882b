"""How the 63 bits of an entity id are divided.

bits 0..44   ordinary entities, numbered by the store at commit
2**44 + n    of these: reserved by transactions that name entities before they commit
2**45 + n    entities the system itself declares (built-in attributes)
2**46 + t    the entity of transaction t
bits 48..62  free: they will name a replica, so that clones can be merged
"""

from __future__ import annotations

from typing import Final

FIRST_ENTITY: Final = 1
RESERVED0: Final = 2**44
LAST_ENTITY: Final = 2**45 - 1
SYSTEM0: Final = 2**45
TX0: Final = 2**46
LAST_ID: Final = 2**47 - 1


def tx_entity(t: int) -> int:
    """The entity id of transaction *t*."""
    return TX0 + t


def is_tx_entity(e: int) -> bool:
    """Whether *e* is the entity of a transaction."""
    return TX0 < e <= LAST_ID


def tx_position(e: int) -> int:
    """The position `t` of the transaction whose entity is *e*."""
    return e - TX0
