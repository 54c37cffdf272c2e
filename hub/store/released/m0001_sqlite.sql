CREATE TABLE binding (
    project TEXT NOT NULL,
    connection TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    is_manual BOOLEAN NOT NULL,
    checked_at BIGINT,
    problem TEXT NOT NULL,
    PRIMARY KEY (project, connection, kind, name)
);

CREATE TABLE channel (
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    source TEXT NOT NULL,
    settings BLOB NOT NULL,
    secret BLOB NOT NULL,
    secret_hash TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    first_seen_at BIGINT,
    last_seen_at BIGINT,
    cursor TEXT NOT NULL,
    PRIMARY KEY (project, name),
    UNIQUE (secret_hash)
);

CREATE TABLE client (
    id TEXT NOT NULL,
    project TEXT NOT NULL,
    merged_into TEXT,
    name TEXT NOT NULL,
    last_talked TEXT,
    last_talked_at BIGINT,
    called_by BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (id)
);

CREATE INDEX client_merged ON client (merged_into) WHERE merged_into IS NOT NULL;

CREATE INDEX client_project ON client (project);

CREATE TABLE client_join (
    id INTEGER NOT NULL,
    project TEXT NOT NULL,
    kept TEXT NOT NULL,
    joined TEXT NOT NULL,
    reason TEXT NOT NULL,
    moved BLOB NOT NULL,
    at BIGINT NOT NULL,
    undone_at BIGINT,
    PRIMARY KEY (id)
);

CREATE INDEX client_join_joined ON client_join (joined);

CREATE INDEX client_join_kept ON client_join (kept);

CREATE TABLE client_key (
    project TEXT NOT NULL,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    client_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (project, kind, value)
);

CREATE INDEX client_key_client ON client_key (client_id);

CREATE TABLE connection (
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    sink TEXT NOT NULL,
    settings BLOB NOT NULL,
    state BLOB,
    state_version INTEGER NOT NULL,
    secret BLOB NOT NULL,
    secret_hash TEXT NOT NULL,
    status TEXT NOT NULL,
    status_reason TEXT NOT NULL,
    status_at BIGINT,
    catalogue BLOB,
    catalogue_at BIGINT,
    feed_cursor TEXT NOT NULL,
    feed_at BIGINT,
    import_cursor TEXT NOT NULL,
    import_progress INTEGER NOT NULL,
    imported_at BIGINT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (project, name),
    UNIQUE (secret_hash)
);

CREATE TABLE decision (
    id INTEGER NOT NULL,
    interaction_id TEXT NOT NULL,
    connection TEXT NOT NULL,
    project TEXT NOT NULL,
    revision INTEGER NOT NULL,
    policy_version INTEGER NOT NULL,
    decided_at BIGINT NOT NULL,
    snapshot BLOB NOT NULL,
    "plan" BLOB NOT NULL,
    purpose TEXT NOT NULL,
    PRIMARY KEY (id)
);

CREATE INDEX decision_interaction ON decision (interaction_id, connection, id);

CREATE TABLE due (
    project TEXT NOT NULL,
    client_id TEXT NOT NULL,
    "key" TEXT NOT NULL,
    at BIGINT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (project, client_id, "key")
);

CREATE INDEX due_at ON due (at);

CREATE TABLE event (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    project TEXT NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    body BLOB NOT NULL
);

CREATE INDEX event_project ON event (project, id);

CREATE TABLE forwarding_log (
    id INTEGER NOT NULL,
    project TEXT NOT NULL,
    channel TEXT NOT NULL,
    uuid TEXT NOT NULL,
    call_id TEXT NOT NULL,
    caller TEXT NOT NULL,
    asked_at BIGINT NOT NULL,
    destination TEXT NOT NULL,
    employee TEXT NOT NULL,
    took INTEGER NOT NULL,
    age INTEGER,
    explanation BLOB NOT NULL,
    PRIMARY KEY (id)
);

CREATE INDEX forwarding_asked ON forwarding_log (project, asked_at);

CREATE INDEX forwarding_call ON forwarding_log (project, call_id);

CREATE INDEX forwarding_uuid ON forwarding_log (project, channel, uuid);

CREATE TABLE fragment (
    interaction_id TEXT NOT NULL,
    digest TEXT NOT NULL,
    inbox_id INTEGER,
    body BLOB NOT NULL,
    received_at BIGINT NOT NULL,
    PRIMARY KEY (interaction_id, digest)
);

CREATE TABLE inbox (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    project TEXT NOT NULL,
    channel TEXT NOT NULL,
    kind TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    method TEXT NOT NULL,
    "query" BLOB NOT NULL,
    headers BLOB NOT NULL,
    body BLOB NOT NULL,
    status TEXT NOT NULL,
    field TEXT NOT NULL,
    note TEXT NOT NULL,
    interaction_id TEXT,
    read_at BIGINT
);

CREATE INDEX inbox_new ON inbox (status, id);

CREATE INDEX inbox_project ON inbox (project, id);

CREATE TABLE interaction (
    id TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    project TEXT NOT NULL,
    channel TEXT NOT NULL,
    external_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    client_id TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    body BLOB NOT NULL,
    revision INTEGER NOT NULL,
    decide_at BIGINT,
    PRIMARY KEY (id),
    UNIQUE (project, channel, external_id),
    UNIQUE (sequence)
);

CREATE INDEX interaction_client ON interaction (client_id, sequence);

CREATE INDEX interaction_decide ON interaction (decide_at);

CREATE INDEX interaction_started ON interaction (project, started_at);

CREATE TABLE neighbour_key (
    interaction_id TEXT NOT NULL,
    "key" TEXT NOT NULL,
    project TEXT NOT NULL,
    PRIMARY KEY (interaction_id, "key")
);

CREATE INDEX neighbour_key_key ON neighbour_key (project, "key");

CREATE TABLE outgoing (
    sequence INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    project TEXT NOT NULL,
    channel TEXT NOT NULL,
    client_id TEXT NOT NULL,
    body BLOB NOT NULL,
    state TEXT NOT NULL,
    delivery TEXT NOT NULL,
    external_id TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    not_before BIGINT,
    created_at BIGINT NOT NULL,
    sent_at BIGINT,
    ended_at BIGINT,
    note TEXT NOT NULL,
    UNIQUE (id)
);

CREATE INDEX outgoing_client ON outgoing (client_id, sequence);

CREATE INDEX outgoing_external ON outgoing (project, channel, external_id);

CREATE INDEX outgoing_waiting ON outgoing (project, channel, state, sequence);

CREATE TABLE policy_version (
    project TEXT NOT NULL,
    version INTEGER NOT NULL,
    text TEXT NOT NULL,
    author TEXT NOT NULL,
    reason TEXT NOT NULL,
    based_on INTEGER,
    published_at BIGINT NOT NULL,
    PRIMARY KEY (project, version)
);

CREATE TABLE project (
    name TEXT NOT NULL,
    title TEXT NOT NULL,
    mode TEXT NOT NULL,
    is_paused BOOLEAN NOT NULL,
    managed TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (name)
);

CREATE TABLE refused_value (
    project TEXT NOT NULL,
    connection TEXT NOT NULL,
    record_id TEXT NOT NULL,
    value TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (project, connection, record_id, value)
);

CREATE TABLE rota (
    project TEXT NOT NULL,
    version INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (project)
);

CREATE TABLE session (
    token_hash TEXT NOT NULL,
    login TEXT NOT NULL,
    csrf TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (token_hash)
);

CREATE INDEX session_expires ON session (expires_at);

CREATE TABLE shared (
    project TEXT NOT NULL,
    channel TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    digest TEXT NOT NULL,
    record TEXT NOT NULL,
    problem TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (project, channel, kind, id)
);

CREATE INDEX shared_record ON shared (project, channel, record);

CREATE TABLE step (
    id INTEGER NOT NULL,
    project TEXT NOT NULL,
    connection TEXT NOT NULL,
    "key" TEXT NOT NULL,
    interaction_id TEXT NOT NULL,
    client_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    action BLOB NOT NULL,
    class INTEGER NOT NULL,
    position INTEGER NOT NULL,
    state TEXT NOT NULL,
    needs BLOB NOT NULL,
    hub_id TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    doubt_checks INTEGER NOT NULL,
    not_before BIGINT,
    batch_id TEXT,
    created_at BIGINT NOT NULL,
    sent_at BIGINT,
    ended_at BIGINT,
    record_kind TEXT,
    record_id TEXT,
    effect BLOB,
    note TEXT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (project, connection, "key")
);

CREATE INDEX step_client ON step (client_id, connection);

CREATE INDEX step_ended ON step (connection, ended_at);

CREATE INDEX step_interaction ON step (interaction_id, connection);

CREATE INDEX step_waiting ON step (connection, state, class, id);

CREATE TABLE timed_run (
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    lease TEXT NOT NULL,
    leased_until BIGINT NOT NULL,
    attempts INTEGER NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    note TEXT NOT NULL,
    PRIMARY KEY (name)
);

CREATE TABLE user_account (
    login TEXT NOT NULL,
    password TEXT NOT NULL,
    role TEXT NOT NULL,
    projects BLOB NOT NULL,
    language TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (login)
);

CREATE TABLE waiting (
    client_id TEXT NOT NULL,
    project TEXT NOT NULL,
    interaction_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    since BIGINT NOT NULL,
    employee TEXT,
    PRIMARY KEY (client_id)
);

CREATE INDEX waiting_project ON waiting (project, employee);

CREATE TABLE work (
    interaction_id TEXT NOT NULL,
    connection TEXT NOT NULL,
    project TEXT NOT NULL,
    client_id TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    state TEXT NOT NULL,
    decided_revision INTEGER NOT NULL,
    note TEXT NOT NULL,
    seen TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    cost INTEGER NOT NULL,
    urgency INTEGER DEFAULT '1' NOT NULL,
    rules INTEGER DEFAULT '0' NOT NULL,
    on_seen BOOLEAN DEFAULT 0 NOT NULL,
    PRIMARY KEY (interaction_id, connection)
);

CREATE INDEX work_bulk ON work (project, connection) WHERE urgency = 3;

CREATE INDEX work_lane ON work (client_id, connection, sequence);

CREATE INDEX work_project ON work (project, state);

CREATE INDEX work_state ON work (state, connection);
