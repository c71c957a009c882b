-- What was hashed in place of the values of sensitive attributes. With the salt the hash can be
-- computed again; without it the value is erased, in the log as well.

CREATE TABLE sealed (
    t     bigint NOT NULL,
    i     bigint NOT NULL,
    salt  bytea,                       -- none: erased
    hash  bytea NOT NULL,              -- the commitment to the value
    whole bigint NOT NULL DEFAULT 0,   -- 1: of a datom that was not sealed when it was written
    PRIMARY KEY (t, i)
);

-- The log can be changed in one way, and only by a commit that says in meta that it erases.
CREATE FUNCTION refuse_but_erasing () RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM meta WHERE key = 'erasing') THEN
        RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
    END IF;
    IF TG_TABLE_NAME = 'log' THEN
        IF new.k = 0 AND new.n = 0 AND new.s = '' AND new.d IS NULL
            AND (new.t, new.i, new.e, new.a, new.vf, new.vt, new.op)
                = (old.t, old.i, old.e, old.a, old.vf, old.vt, old.op)
        THEN
            RETURN new;
        END IF;
    ELSIF new.salt IS NULL
        AND (new.t, new.i, new.hash, new.whole) = (old.t, old.i, old.hash, old.whole)
    THEN
        RETURN new;
    END IF;
    RAISE EXCEPTION '% can only be erased', TG_TABLE_NAME;
END
$$;

DROP TRIGGER log_is_append_only ON log;
CREATE TRIGGER log_is_append_only BEFORE DELETE OR TRUNCATE ON log
FOR EACH STATEMENT EXECUTE FUNCTION refuse ();
CREATE TRIGGER log_is_only_erased BEFORE UPDATE ON log
FOR EACH ROW EXECUTE FUNCTION refuse_but_erasing ();

CREATE TRIGGER sealed_is_append_only BEFORE DELETE OR TRUNCATE ON sealed
FOR EACH STATEMENT EXECUTE FUNCTION refuse ();
CREATE TRIGGER sealed_is_only_erased BEFORE UPDATE ON sealed
FOR EACH ROW EXECUTE FUNCTION refuse_but_erasing ();
