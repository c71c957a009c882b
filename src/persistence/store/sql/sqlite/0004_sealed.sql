-- What was hashed in place of the values of sensitive attributes. With the salt the hash can be
-- computed again; without it the value is erased, in the log as well.

CREATE TABLE sealed (
    t     INTEGER NOT NULL,
    i     INTEGER NOT NULL,
    salt  BLOB,                        -- none: erased
    hash  BLOB NOT NULL,               -- the commitment to the value
    whole INTEGER NOT NULL DEFAULT 0,  -- 1: of a datom that was not sealed when it was written
    PRIMARY KEY (t, i)
) STRICT, WITHOUT ROWID;

-- The log can be changed in one way, and only by a commit that says in meta that it erases.
DROP TRIGGER log_is_never_updated;
CREATE TRIGGER log_is_never_updated BEFORE UPDATE ON log
WHEN NOT (
    EXISTS (SELECT 1 FROM meta WHERE key = 'erasing') AND new.k = 0 AND new.v IS 0
    AND (new.t, new.i, new.e, new.a, new.vf, new.vt, new.op)
        = (old.t, old.i, old.e, old.a, old.vf, old.vt, old.op)
)
BEGIN SELECT RAISE (ABORT, 'the log is append-only'); END;

CREATE TRIGGER sealed_is_never_updated BEFORE UPDATE ON sealed
WHEN NOT (
    EXISTS (SELECT 1 FROM meta WHERE key = 'erasing') AND new.salt IS NULL
    AND (new.t, new.i, new.hash, new.whole) = (old.t, old.i, old.hash, old.whole)
)
BEGIN SELECT RAISE (ABORT, 'what was hashed never changes'); END;
CREATE TRIGGER sealed_is_never_deleted BEFORE DELETE ON sealed
BEGIN SELECT RAISE (ABORT, 'what was hashed never changes'); END;
