-- The log is the truth: attr, tx, log and blob are only ever added to. fact, text and fts are an
-- index over them and can be dropped and rebuilt.

CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE attr (
    id    INTEGER PRIMARY KEY,
    ident TEXT NOT NULL UNIQUE,
    flags INTEGER NOT NULL DEFAULT 0   -- 1: has had bounded facts, 2: has closed facts
) STRICT;

CREATE TABLE tx (
    t      INTEGER PRIMARY KEY,
    branch INTEGER NOT NULL,
    parent INTEGER NOT NULL,
    id     BLOB NOT NULL,
    time   INTEGER NOT NULL,
    next_e INTEGER NOT NULL,
    leaf   BLOB NOT NULL,
    entry  BLOB NOT NULL               -- last, because it is long: the head is read without it
) STRICT;

CREATE UNIQUE INDEX tx_id ON tx (id);

CREATE TABLE log (
    t  INTEGER NOT NULL,
    i  INTEGER NOT NULL,
    e  INTEGER NOT NULL,
    a  INTEGER NOT NULL,
    k  INTEGER NOT NULL,
    v  ANY NOT NULL,
    vf INTEGER NOT NULL,
    vt INTEGER NOT NULL,
    op INTEGER NOT NULL,
    PRIMARY KEY (t, i)
) STRICT, WITHOUT ROWID;

CREATE TABLE blob (
    id   BLOB NOT NULL PRIMARY KEY,
    data BLOB NOT NULL
) STRICT;

-- One row for each rectangle: valid time [vf, vt) by system time [t0, t1).
CREATE TABLE fact (
    seg  INTEGER NOT NULL,             -- 3 * branch + 0 open, 1 bounded, 2 closed
    a    INTEGER NOT NULL,
    e    INTEGER NOT NULL,
    vt   INTEGER NOT NULL,
    k    INTEGER NOT NULL,
    v    ANY NOT NULL,
    t0   INTEGER NOT NULL,
    t1   INTEGER NOT NULL,
    vf   INTEGER NOT NULL,
    ix   INTEGER NOT NULL,             -- 1: found by value
    node INTEGER,                      -- fork node of a bounded or closed row
    PRIMARY KEY (seg, a, e, vt, k, v, t0)
) STRICT, WITHOUT ROWID;

CREATE INDEX eavt ON fact (seg, e, a);
CREATE INDEX avet ON fact (seg, a, k, v, e, vf, t1) WHERE ix = 1;
CREATE INDEX stab ON fact (seg, a, node, vt, t1, t0, vf) WHERE node IS NOT NULL;

-- Full text: fts.rowid = text.id, and (a, k, v) joins a match to its facts.
CREATE TABLE text (
    id INTEGER PRIMARY KEY,
    a  INTEGER NOT NULL,
    k  INTEGER NOT NULL,
    v  ANY NOT NULL,
    UNIQUE (a, k, v)
) STRICT;

CREATE VIRTUAL TABLE fts USING fts5 (
    words,
    content = '',                      -- the words are in the facts already
    contentless_delete = 1,            -- erasure must be able to remove them
    tokenize = "unicode61 remove_diacritics 0"
);

CREATE TRIGGER log_is_never_updated BEFORE UPDATE ON log
BEGIN SELECT RAISE (ABORT, 'the log is append-only'); END;
CREATE TRIGGER log_is_never_deleted BEFORE DELETE ON log
BEGIN SELECT RAISE (ABORT, 'the log is append-only'); END;
CREATE TRIGGER tx_is_never_updated BEFORE UPDATE ON tx
BEGIN SELECT RAISE (ABORT, 'transactions are append-only'); END;
CREATE TRIGGER tx_is_never_deleted BEFORE DELETE ON tx
BEGIN SELECT RAISE (ABORT, 'transactions are append-only'); END;
CREATE TRIGGER attr_is_never_renamed BEFORE UPDATE OF id, ident ON attr
BEGIN SELECT RAISE (ABORT, 'attributes are never renamed'); END;
CREATE TRIGGER attr_is_never_deleted BEFORE DELETE ON attr
BEGIN SELECT RAISE (ABORT, 'attributes are never deleted'); END;

-- What the planner believes of a store, before anybody runs ANALYZE and whatever its size: few
-- segments, many rows for each attribute, few for each entity and value. Without it SQLite would
-- look up an entity by reading its whole segment.
ANALYZE sqlite_schema;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('fact', 'fact', '1000000 400000 20000 2 2 2 1 1'),
    ('fact', 'eavt', '1000000 400000 6 2'),
    ('fact', 'avet', '300000 150000 30000 30000 10 1 1 1'),
    ('fact', 'stab', '500000 250000 10000 20 10 5 2 1'),
    ('log', 'log', '1000000 20 1'),
    ('tx', 'tx_id', '50000 1'),
    ('attr', 'sqlite_autoindex_attr_1', '100 1'),
    ('text', 'sqlite_autoindex_text_1', '10000 2000 2000 1');

INSERT INTO meta (key, value) VALUES ('format', '1');
