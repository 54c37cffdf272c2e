CREATE TABLE popup (
    project TEXT NOT NULL,
    "key" TEXT NOT NULL,
    version INTEGER NOT NULL,
    client_id TEXT NOT NULL,
    body BLOB NOT NULL,
    dismissed BLOB NOT NULL,
    event_id INTEGER NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (project, "key")
);

CREATE INDEX popup_client ON popup (project, client_id, event_id);

CREATE INDEX popup_event ON popup (project, event_id);

CREATE INDEX popup_updated ON popup (updated_at);

CREATE TABLE popup_preference (
    project TEXT NOT NULL,
    employee TEXT NOT NULL,
    body BLOB NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (project, employee)
);

CREATE TABLE presence (
    project TEXT NOT NULL,
    connection TEXT NOT NULL,
    employee TEXT NOT NULL,
    process TEXT NOT NULL,
    until BIGINT NOT NULL,
    PRIMARY KEY (project, connection, employee, process)
);

CREATE INDEX presence_process ON presence (process);
