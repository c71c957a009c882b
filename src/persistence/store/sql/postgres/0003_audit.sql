-- The Merkle tree over the leaves in tx, as far as it is worth keeping: the hash of every complete
-- subtree of 256, 65 536, 16 777 216 … leaves. The rest is computed from the leaves.

CREATE TABLE tree (
    level bigint NOT NULL,             -- 8, 16, 24 …: the subtree has 2^level leaves
    n     bigint NOT NULL,             -- and begins at leaf n * 2^level
    hash  bytea NOT NULL,
    PRIMARY KEY (level, n)
);

-- The newest signed note on what the log is; it moves along with the commits.
CREATE TABLE checkpoint (
    id   bigint PRIMARY KEY CHECK (id = 0),
    note text NOT NULL
);

INSERT INTO attr (id, ident)
SELECT * FROM (VALUES (23, 'db.log/event'), (24, 'db.log/reason')) AS built_in
WHERE EXISTS (SELECT 1 FROM attr);
