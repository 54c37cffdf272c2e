CREATE TABLE popup (
    project TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    version INTEGER NOT NULL,
    client_id TEXT COLLATE "C" NOT NULL,
    body BYTEA NOT NULL,
    dismissed BYTEA NOT NULL,
    event_id BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (project, key)
);

CREATE INDEX popup_client ON popup (project, client_id, event_id);

CREATE INDEX popup_event ON popup (project, event_id);

CREATE INDEX popup_updated ON popup (updated_at);

CREATE TABLE popup_preference (
    project TEXT COLLATE "C" NOT NULL,
    employee TEXT COLLATE "C" NOT NULL,
    body BYTEA NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (project, employee)
);

CREATE TABLE presence (
    project TEXT COLLATE "C" NOT NULL,
    connection TEXT COLLATE "C" NOT NULL,
    employee TEXT COLLATE "C" NOT NULL,
    process TEXT COLLATE "C" NOT NULL,
    until BIGINT NOT NULL,
    PRIMARY KEY (project, connection, employee, process)
);

CREATE INDEX presence_process ON presence (process);
