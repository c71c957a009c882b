-- A branch writes segments of its own and reads those of the line it came from, as of its start.
-- A fact of that line that it changes becomes its own: it is copied, and no longer read there.

CREATE TABLE owned (
    branch bigint NOT NULL,
    a      bigint NOT NULL,
    e      bigint NOT NULL,
    k      bigint NOT NULL,
    n      bigint NOT NULL DEFAULT 0,
    s      text COLLATE "C" NOT NULL DEFAULT '',
    PRIMARY KEY (a, e, k, n, s, branch)
);

-- What attr.flags is to the main line. 4: has open facts, 8: owns facts of the line it came from.
CREATE TABLE branch_attr (
    branch bigint NOT NULL,
    a      bigint NOT NULL,
    flags  bigint NOT NULL,
    PRIMARY KEY (branch, a)
);

CREATE INDEX tx_branch ON tx (branch, t) WHERE branch > 0;

INSERT INTO attr (id, ident)
SELECT * FROM (VALUES
    (18, 'db.branch/name'), (19, 'db.branch/parent'), (20, 'db.branch/base'),
    (21, 'db.branch/discarded'), (22, 'db.branch/merged')) AS built_in
WHERE EXISTS (SELECT 1 FROM attr);
