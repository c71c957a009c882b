-- A branch writes segments of its own and reads those of the line it came from, as of its start.
-- A fact of that line that it changes becomes its own: it is copied, and no longer read there.

CREATE TABLE owned (
    branch INTEGER NOT NULL,
    a      INTEGER NOT NULL,
    e      INTEGER NOT NULL,
    k      INTEGER NOT NULL,
    v      ANY NOT NULL,
    PRIMARY KEY (a, e, k, v, branch)
) STRICT, WITHOUT ROWID;

-- What attr.flags is to the main line. 4: has open facts, 8: owns facts of the line it came from.
CREATE TABLE branch_attr (
    branch INTEGER NOT NULL,
    a      INTEGER NOT NULL,
    flags  INTEGER NOT NULL,
    PRIMARY KEY (branch, a)
) STRICT, WITHOUT ROWID;

CREATE INDEX tx_branch ON tx (branch, t) WHERE branch > 0;

INSERT INTO attr (id, ident)
SELECT column1, column2 FROM (VALUES
    (18, 'db.branch/name'), (19, 'db.branch/parent'), (20, 'db.branch/base'),
    (21, 'db.branch/discarded'), (22, 'db.branch/merged'))
WHERE EXISTS (SELECT 1 FROM attr);

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('owned', 'owned', '100000 10000 4 2 2 1'),
    ('tx', 'tx_branch', '10000 100 1');
