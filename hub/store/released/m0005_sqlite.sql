DROP INDEX step_waiting;
CREATE INDEX step_outstanding ON step (project, connection, state, class, id) WHERE state IN ('waiting', 'sent', 'in_doubt');
CREATE INDEX step_moment ON step (project, connection, not_before) WHERE not_before IS NOT NULL;
CREATE INDEX work_open ON work (project, connection, sequence) WHERE state = 'open';
