"""What contents take in the store, for who asks before they go."""

from collections.abc import Collection

from rewindd.store import packs
from rewindd.store.blobs import FILE, PACKED
from rewindd.store.records import in_parts
from rewindd.store.schema import Connection


def in_store(db: Connection, digests: Collection[bytes]) -> tuple[int, list[bytes]]:
    """Returns the bytes that these contents take in the database, a share of a pack's for one in a pack; and those that are in files."""
    total, files = 0, list[bytes]()
    shares: dict[int, float] = {}
    for part, marks in in_parts(digests):
        place = f"CASE encoding WHEN {PACKED} THEN data END"
        query = f"SELECT digest, size, encoding, coalesce(length(data), 0), {place} FROM blobs WHERE digest IN ({marks})"
        for digest, size, encoding, length, where in db.execute(query, part).fetchall():
            if encoding == FILE:
                files.append(digest)
            elif where is None:
                total += length
            else:
                number = packs.place_of(where)[0]
                if number not in shares:
                    found = db.execute("SELECT length(data), size FROM packs WHERE number = ?", (number,)).fetchone()
                    shares[number] = found[0] / max(found[1], 1) if found is not None else 0.0
                total += round(size * shares[number])
    return total, files
