-- What a witness remembers. It cosigns a log's checkpoint only if that continues the one held here.

CREATE TABLE latest (
    origin TEXT PRIMARY KEY,
    size   INTEGER NOT NULL,
    root   BLOB NOT NULL,
    note   TEXT NOT NULL,              -- with the log's own signatures, which were verified
    time   INTEGER NOT NULL            -- of the newest cosignature, in seconds since 1970
) STRICT, WITHOUT ROWID;

-- Signed checkpoints that do not go with the one held at that time.
CREATE TABLE evidence (
    origin    TEXT NOT NULL,
    why       TEXT NOT NULL CHECK (why IN ('fork', 'unproven')),
    size      INTEGER NOT NULL,
    root      BLOB NOT NULL,
    note      TEXT NOT NULL,
    held_note TEXT NOT NULL,
    time      INTEGER NOT NULL,        -- of the first time that it was seen
    PRIMARY KEY (origin, why, size, root)
) STRICT, WITHOUT ROWID;
