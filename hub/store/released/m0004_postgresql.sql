CREATE INDEX inbox_waiting ON inbox (project, id) WHERE status = 'new';
