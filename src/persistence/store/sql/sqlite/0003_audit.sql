-- The Merkle tree over the leaves in tx, as far as it is worth keeping: the hash of every complete
-- subtree of 256, 65 536, 16 777 216 … leaves. The rest is computed from the leaves.

CREATE TABLE tree (
    level INTEGER NOT NULL,            -- 8, 16, 24 …: the subtree has 2^level leaves
    n     INTEGER NOT NULL,            -- and begins at leaf n * 2^level
    hash  BLOB NOT NULL,
    PRIMARY KEY (level, n)
) STRICT, WITHOUT ROWID;

-- The newest signed note on what the log is; it moves along with the commits.
CREATE TABLE checkpoint (
    id   INTEGER PRIMARY KEY CHECK (id = 0),
    note TEXT NOT NULL
) STRICT;

INSERT INTO attr (id, ident)
SELECT column1, column2 FROM (VALUES (23, 'db.log/event'), (24, 'db.log/reason'))
WHERE EXISTS (SELECT 1 FROM attr);
