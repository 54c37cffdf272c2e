ALTER TABLE inbox ADD COLUMN spool_id TEXT COLLATE "C";

CREATE UNIQUE INDEX inbox_spool ON inbox (spool_id) WHERE spool_id IS NOT NULL;
