CREATE SEQUENCE event_number;

-- the order of arrival (hub/store/interactions.py)
CREATE SEQUENCE interaction_sequence;

CREATE TABLE binding (
    project TEXT COLLATE "C" NOT NULL,
    connection TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    is_manual BOOLEAN NOT NULL,
    checked_at BIGINT,
    problem TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (project, connection, kind, name)
);

CREATE TABLE channel (
    project TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    source TEXT COLLATE "C" NOT NULL,
    settings BYTEA NOT NULL,
    secret BYTEA NOT NULL,
    secret_hash TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    first_seen_at BIGINT,
    last_seen_at BIGINT,
    cursor TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (project, name),
    UNIQUE (secret_hash)
);

CREATE TABLE client (
    id TEXT COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    merged_into TEXT COLLATE "C",
    name TEXT COLLATE "C" NOT NULL,
    last_talked TEXT COLLATE "C",
    last_talked_at BIGINT,
    called_by BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (id)
);

CREATE INDEX client_merged ON client (merged_into) WHERE merged_into IS NOT NULL;

CREATE INDEX client_project ON client (project);

CREATE TABLE client_join (
    id BIGSERIAL NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    kept TEXT COLLATE "C" NOT NULL,
    joined TEXT COLLATE "C" NOT NULL,
    reason TEXT COLLATE "C" NOT NULL,
    moved BYTEA NOT NULL,
    at BIGINT NOT NULL,
    undone_at BIGINT,
    PRIMARY KEY (id)
);

CREATE INDEX client_join_joined ON client_join (joined);

CREATE INDEX client_join_kept ON client_join (kept);

CREATE TABLE client_key (
    project TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    client_id TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (project, kind, value)
);

CREATE INDEX client_key_client ON client_key (client_id);

CREATE TABLE connection (
    project TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    sink TEXT COLLATE "C" NOT NULL,
    settings BYTEA NOT NULL,
    state BYTEA,
    state_version INTEGER NOT NULL,
    secret BYTEA NOT NULL,
    secret_hash TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    status_reason TEXT COLLATE "C" NOT NULL,
    status_at BIGINT,
    catalogue BYTEA,
    catalogue_at BIGINT,
    feed_cursor TEXT COLLATE "C" NOT NULL,
    feed_at BIGINT,
    import_cursor TEXT COLLATE "C" NOT NULL,
    import_progress INTEGER NOT NULL,
    imported_at BIGINT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (project, name),
    UNIQUE (secret_hash)
);

CREATE TABLE decision (
    id BIGSERIAL NOT NULL,
    interaction_id TEXT COLLATE "C" NOT NULL,
    connection TEXT COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    revision INTEGER NOT NULL,
    policy_version INTEGER NOT NULL,
    decided_at BIGINT NOT NULL,
    snapshot BYTEA NOT NULL,
    plan BYTEA NOT NULL,
    purpose TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (id)
);

CREATE INDEX decision_interaction ON decision (interaction_id, connection, id);

CREATE TABLE due (
    project TEXT COLLATE "C" NOT NULL,
    client_id TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (project, client_id, key)
);

CREATE INDEX due_at ON due (at);

CREATE TABLE event (
    -- transaction and number, so that what is committed later never has a lower one (hub/store/events.py)
    id BIGINT NOT NULL DEFAULT
        ((pg_current_xact_id()::text::bigint << 20) | (nextval('event_number') & 1048575)),
    project TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (id)
);

CREATE INDEX event_project ON event (project, id);

CREATE TABLE forwarding_log (
    id BIGSERIAL NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    channel TEXT COLLATE "C" NOT NULL,
    uuid TEXT COLLATE "C" NOT NULL,
    call_id TEXT COLLATE "C" NOT NULL,
    caller TEXT COLLATE "C" NOT NULL,
    asked_at BIGINT NOT NULL,
    destination TEXT COLLATE "C" NOT NULL,
    employee TEXT COLLATE "C" NOT NULL,
    took INTEGER NOT NULL,
    age INTEGER,
    explanation BYTEA NOT NULL,
    PRIMARY KEY (id)
);

CREATE INDEX forwarding_asked ON forwarding_log (project, asked_at);

CREATE INDEX forwarding_call ON forwarding_log (project, call_id);

CREATE INDEX forwarding_uuid ON forwarding_log (project, channel, uuid);

CREATE TABLE fragment (
    interaction_id TEXT COLLATE "C" NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    inbox_id BIGINT,
    body BYTEA NOT NULL,
    received_at BIGINT NOT NULL,
    PRIMARY KEY (interaction_id, digest)
);

CREATE TABLE inbox (
    id BIGSERIAL NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    channel TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    received_at BIGINT NOT NULL,
    method TEXT COLLATE "C" NOT NULL,
    query BYTEA NOT NULL,
    headers BYTEA NOT NULL,
    body BYTEA NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    field TEXT COLLATE "C" NOT NULL,
    note TEXT COLLATE "C" NOT NULL,
    interaction_id TEXT COLLATE "C",
    read_at BIGINT,
    PRIMARY KEY (id)
);

CREATE INDEX inbox_new ON inbox (status, id);

CREATE INDEX inbox_project ON inbox (project, id);

CREATE TABLE interaction (
    id TEXT COLLATE "C" NOT NULL,
    sequence BIGINT NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    channel TEXT COLLATE "C" NOT NULL,
    external_id TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    client_id TEXT COLLATE "C" NOT NULL,
    started_at BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    body BYTEA NOT NULL,
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
    interaction_id TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (interaction_id, key)
);

CREATE INDEX neighbour_key_key ON neighbour_key (project, key);

CREATE TABLE outgoing (
    sequence BIGSERIAL NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    channel TEXT COLLATE "C" NOT NULL,
    client_id TEXT COLLATE "C" NOT NULL,
    body BYTEA NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    delivery TEXT COLLATE "C" NOT NULL,
    external_id TEXT COLLATE "C" NOT NULL,
    attempts INTEGER NOT NULL,
    not_before BIGINT,
    created_at BIGINT NOT NULL,
    sent_at BIGINT,
    ended_at BIGINT,
    note TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (sequence),
    UNIQUE (id)
);

CREATE INDEX outgoing_client ON outgoing (client_id, sequence);

CREATE INDEX outgoing_external ON outgoing (project, channel, external_id);

CREATE INDEX outgoing_waiting ON outgoing (project, channel, state, sequence);

CREATE TABLE policy_version (
    project TEXT COLLATE "C" NOT NULL,
    version INTEGER NOT NULL,
    text TEXT COLLATE "C" NOT NULL,
    author TEXT COLLATE "C" NOT NULL,
    reason TEXT COLLATE "C" NOT NULL,
    based_on INTEGER,
    published_at BIGINT NOT NULL,
    PRIMARY KEY (project, version)
);

CREATE TABLE project (
    name TEXT COLLATE "C" NOT NULL,
    title TEXT COLLATE "C" NOT NULL,
    mode TEXT COLLATE "C" NOT NULL,
    is_paused BOOLEAN NOT NULL,
    managed TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (name)
);

CREATE TABLE refused_value (
    project TEXT COLLATE "C" NOT NULL,
    connection TEXT COLLATE "C" NOT NULL,
    record_id TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (project, connection, record_id, value)
);

CREATE TABLE rota (
    project TEXT COLLATE "C" NOT NULL,
    version INTEGER NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (project)
);

CREATE TABLE session (
    token_hash TEXT COLLATE "C" NOT NULL,
    login TEXT COLLATE "C" NOT NULL,
    csrf TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (token_hash)
);

CREATE INDEX session_expires ON session (expires_at);

CREATE TABLE shared (
    project TEXT COLLATE "C" NOT NULL,
    channel TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    record TEXT COLLATE "C" NOT NULL,
    problem TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (project, channel, kind, id)
);

CREATE INDEX shared_record ON shared (project, channel, record);

CREATE TABLE step (
    id BIGSERIAL NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    connection TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    interaction_id TEXT COLLATE "C" NOT NULL,
    client_id TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    action BYTEA NOT NULL,
    class INTEGER NOT NULL,
    position INTEGER NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    needs BYTEA NOT NULL,
    hub_id TEXT COLLATE "C" NOT NULL,
    attempts INTEGER NOT NULL,
    doubt_checks INTEGER NOT NULL,
    not_before BIGINT,
    batch_id TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    sent_at BIGINT,
    ended_at BIGINT,
    record_kind TEXT COLLATE "C",
    record_id TEXT COLLATE "C",
    effect BYTEA,
    note TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (project, connection, key)
);

CREATE INDEX step_client ON step (client_id, connection);

CREATE INDEX step_ended ON step (connection, ended_at);

CREATE INDEX step_interaction ON step (interaction_id, connection);

CREATE INDEX step_waiting ON step (connection, state, class, id);

CREATE TABLE timed_run (
    name TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    lease TEXT COLLATE "C" NOT NULL,
    leased_until BIGINT NOT NULL,
    attempts INTEGER NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    note TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (name)
);

CREATE TABLE user_account (
    login TEXT COLLATE "C" NOT NULL,
    password TEXT COLLATE "C" NOT NULL,
    role TEXT COLLATE "C" NOT NULL,
    projects BYTEA NOT NULL,
    language TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (login)
);

CREATE TABLE waiting (
    client_id TEXT COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    interaction_id TEXT COLLATE "C" NOT NULL,
    channel TEXT COLLATE "C" NOT NULL,
    since BIGINT NOT NULL,
    employee TEXT COLLATE "C",
    PRIMARY KEY (client_id)
);

CREATE INDEX waiting_project ON waiting (project, employee);

CREATE TABLE work (
    interaction_id TEXT COLLATE "C" NOT NULL,
    connection TEXT COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    client_id TEXT COLLATE "C" NOT NULL,
    sequence BIGINT NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    decided_revision INTEGER NOT NULL,
    note TEXT COLLATE "C" NOT NULL,
    seen TEXT COLLATE "C" NOT NULL,
    updated_at BIGINT NOT NULL,
    cost INTEGER NOT NULL,
    urgency INTEGER DEFAULT '1' NOT NULL,
    rules INTEGER DEFAULT '0' NOT NULL,
    on_seen BOOLEAN DEFAULT false NOT NULL,
    PRIMARY KEY (interaction_id, connection)
);

CREATE INDEX work_bulk ON work (project, connection) WHERE urgency = 3;

CREATE INDEX work_lane ON work (client_id, connection, sequence);

CREATE INDEX work_project ON work (project, state);

CREATE INDEX work_state ON work (state, connection);
