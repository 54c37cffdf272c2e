ALTER TABLE inbox ADD COLUMN spool_id TEXT;

CREATE UNIQUE INDEX inbox_spool ON inbox (spool_id) WHERE spool_id IS NOT NULL;
