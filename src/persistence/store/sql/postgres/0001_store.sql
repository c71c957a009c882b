-- The log is the truth: attr, tx, log and blob are only ever added to. fact and fts are an index
-- over them and can be dropped and rebuilt. Names are resolved in the schema of the store.
--
-- A value is (k, n, s): its kind, and a payload that is an integer (n) or a text (s). Floats are
-- in n as the integer that sorts as they do, and once more in d, to calculate with.

CREATE TABLE meta (
    key   text PRIMARY KEY,
    value text NOT NULL
);

CREATE TABLE attr (
    id    bigint PRIMARY KEY,
    ident text COLLATE "C" NOT NULL UNIQUE,
    flags bigint NOT NULL DEFAULT 0    -- 1: has had bounded facts, 2: has closed facts
);

CREATE TABLE tx (
    t      bigint PRIMARY KEY,
    branch bigint NOT NULL,
    parent bigint NOT NULL,
    id     bytea NOT NULL UNIQUE,
    time   bigint NOT NULL,
    next_e bigint NOT NULL,
    leaf   bytea NOT NULL,
    entry  bytea NOT NULL
);

CREATE TABLE log (
    t  bigint NOT NULL,
    i  bigint NOT NULL,
    e  bigint NOT NULL,
    a  bigint NOT NULL,
    k  bigint NOT NULL,
    n  bigint NOT NULL DEFAULT 0,
    vf bigint NOT NULL,
    vt bigint NOT NULL,
    op bigint NOT NULL,
    d  double precision,
    s  text COLLATE "C" NOT NULL DEFAULT '',
    PRIMARY KEY (t, i)
);

CREATE TABLE blob (
    id   bytea PRIMARY KEY,
    data bytea NOT NULL
);

-- One row for each rectangle: valid time [vf, vt) by system time [t0, t1).
CREATE TABLE fact (
    seg  bigint NOT NULL,              -- 3 * branch + 0 open, 1 bounded, 2 closed
    a    bigint NOT NULL,
    e    bigint NOT NULL,
    vf   bigint NOT NULL,
    vt   bigint NOT NULL,
    t0   bigint NOT NULL,
    t1   bigint NOT NULL,
    k    bigint NOT NULL,
    n    bigint NOT NULL DEFAULT 0,
    ix   bigint NOT NULL,              -- 1: found by value
    node bigint,                       -- fork node of a bounded or closed row
    d    double precision,
    s    text COLLATE "C" NOT NULL DEFAULT '',
    PRIMARY KEY (seg, a, e, vt, k, n, s, t0) INCLUDE (vf, t1)
);

CREATE INDEX eavt ON fact (seg, e, a);
CREATE INDEX avet ON fact (seg, a, k, n, s, e) INCLUDE (vf, t1) WHERE ix = 1;
CREATE INDEX stab ON fact (seg, a, node, vt, t1, t0, vf) WHERE node IS NOT NULL;

-- Full text: (a, k, n, s) joins a match to its facts.
CREATE TABLE fts (
    a     bigint NOT NULL,
    k     bigint NOT NULL,
    n     bigint NOT NULL DEFAULT 0,
    s     text COLLATE "C" NOT NULL,
    words tsvector NOT NULL,
    PRIMARY KEY (a, k, s)
);

CREATE INDEX fts_words ON fts USING gin (words);

CREATE FUNCTION refuse () RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END
$$;

CREATE TRIGGER log_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON log
FOR EACH STATEMENT EXECUTE FUNCTION refuse ();
CREATE TRIGGER tx_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON tx
FOR EACH STATEMENT EXECUTE FUNCTION refuse ();
CREATE TRIGGER attr_is_never_renamed BEFORE UPDATE OF id, ident OR DELETE OR TRUNCATE ON attr
FOR EACH STATEMENT EXECUTE FUNCTION refuse ();
