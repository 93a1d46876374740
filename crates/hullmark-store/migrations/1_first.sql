-- What the server remembers. Digests are texts, times are nanoseconds since 1970, lists and structures are JSON.

CREATE TABLE documents (
    digest   TEXT NOT NULL PRIMARY KEY,
    kind     TEXT NOT NULL,
    size     INTEGER NOT NULL,
    content  BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE images (
    digest        TEXT NOT NULL PRIMARY KEY,
    name          TEXT NOT NULL,
    subject       TEXT NOT NULL,
    inventory     TEXT NOT NULL,
    profile       TEXT,
    taken_here    INTEGER NOT NULL,
    first_scanned INTEGER NOT NULL,
    last_scanned  INTEGER NOT NULL
) STRICT;
CREATE INDEX images_by_name ON images (name, digest);

-- Every digest and every name by which an image is asked for.
CREATE TABLE image_aliases (
    alias TEXT NOT NULL,
    image TEXT NOT NULL REFERENCES images (digest),
    PRIMARY KEY (alias, image)
) STRICT, WITHOUT ROWID;

CREATE TABLE verdicts (
    entry        INTEGER NOT NULL PRIMARY KEY,
    image        TEXT NOT NULL,
    inventory    TEXT NOT NULL,
    stage        TEXT NOT NULL,
    policy       TEXT NOT NULL,
    exceptions   TEXT NOT NULL,
    database     TEXT NOT NULL,
    verdict      TEXT NOT NULL,
    made_at      INTEGER NOT NULL,
    row          TEXT NOT NULL
) STRICT;
CREATE INDEX verdicts_by_key ON verdicts (image, stage, policy, exceptions, database, inventory, entry);
CREATE INDEX verdicts_by_digest ON verdicts (verdict);

CREATE TABLE policies (
    version      INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name         TEXT NOT NULL,
    digest       TEXT NOT NULL,
    text         TEXT NOT NULL,
    comment      TEXT NOT NULL,
    created_by   TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    activated_by TEXT,
    activated_at INTEGER
) STRICT;

CREATE TABLE settings (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE exceptions (
    id         TEXT NOT NULL PRIMARY KEY,
    body       TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_by TEXT,
    revoked_at INTEGER
) STRICT;

CREATE TABLE batches (
    node     TEXT NOT NULL,
    spool    TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    received INTEGER NOT NULL,
    PRIMARY KEY (node, spool, sequence)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    id        INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    time      INTEGER NOT NULL,
    kind      TEXT NOT NULL,
    container TEXT NOT NULL,
    index_digest    TEXT,
    manifest_digest TEXT,
    config_digest   TEXT,
    entry     INTEGER,
    body      TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_container ON events (container, id);
CREATE INDEX events_by_index ON events (index_digest, id);
CREATE INDEX events_by_manifest ON events (manifest_digest, id);
CREATE INDEX events_by_config ON events (config_digest, id);
CREATE INDEX events_by_kind ON events (kind, id);

CREATE TABLE tokens (
    name       TEXT NOT NULL PRIMARY KEY,
    hash       TEXT NOT NULL UNIQUE,
    role       TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_by TEXT,
    revoked_at INTEGER
) STRICT;

CREATE TABLE tags (
    upstream   TEXT NOT NULL,
    repository TEXT NOT NULL,
    tag        TEXT NOT NULL,
    digest     TEXT NOT NULL,
    seen_at    INTEGER NOT NULL,
    PRIMARY KEY (upstream, repository, tag)
) STRICT, WITHOUT ROWID;

CREATE TABLE manifests (
    upstream   TEXT NOT NULL,
    repository TEXT NOT NULL,
    digest     TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size       INTEGER NOT NULL,
    config     TEXT,
    seen_at    INTEGER NOT NULL,
    PRIMARY KEY (upstream, repository, digest)
) STRICT, WITHOUT ROWID;

-- What a manifest names: `child` manifests and `blob`s, its configuration among them, in their order.
CREATE TABLE manifest_parts (
    upstream   TEXT NOT NULL,
    repository TEXT NOT NULL,
    digest     TEXT NOT NULL,
    kind       TEXT NOT NULL,
    position   INTEGER NOT NULL,
    part       TEXT NOT NULL,
    PRIMARY KEY (upstream, repository, digest, kind, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_parts_by_part ON manifest_parts (upstream, repository, part, kind, digest);
