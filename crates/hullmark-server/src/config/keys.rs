//! Every key of the configuration, in one list. The JSON schema and the reference page are made from it, and tests hold it
//! against what [`Config`](super::Config) reads.

use serde_json::{Map, Value, json};

/// What a value is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Texts,
    Switch,
    Number,
    Duration,
    Words(&'static [&'static str]),
}

/// One key.
struct Key {
    /// Its path, with `NAME` for a name that the user chooses.
    path: &'static str,
    kind: Kind,
    /// Its default, as TOML; `None` when it may be left out, and then nothing takes its place.
    default: Option<&'static str>,
    required: bool,
    text: &'static str,
}

const fn key(path: &'static str, kind: Kind, default: &'static str, text: &'static str) -> Key {
    Key { path, kind, default: Some(default), required: false, text }
}

const fn optional(path: &'static str, kind: Kind, text: &'static str) -> Key {
    Key { path, kind, default: None, required: false, text }
}

const fn required(path: &'static str, kind: Kind, text: &'static str) -> Key {
    Key { path, kind, default: None, required: true, text }
}

const MODES: Kind = Kind::Words(&["enforce", "audit"]);

/// Every key.
const KEYS: &[Key] = &[
    key("server.listen", Kind::Text, "\"127.0.0.1:8443\"", "Address and port to listen on."),
    required(
        "server.data_directory",
        Kind::Text,
        "Directory of the store, the ledger and its key; `hullmark server init` makes it.",
    ),
    optional(
        "server.local_socket",
        Kind::Text,
        "Unix socket where gates on this machine ask for decisions; only its owner may connect.",
    ),
    optional(
        "server.hook_records",
        Kind::Text,
        "Directory where hooks on this machine keep what they decided while nobody answered on the socket.",
    ),
    optional(
        "server.tls.certificate",
        Kind::Text,
        "PEM file of the certificate and of those that vouch for it. SIGHUP reads it again.",
    ),
    optional("server.tls.key", Kind::Text, "PEM file of the private key."),
    key("server.plain_http", Kind::Switch, "false", "Serve without TLS; only on a loopback address."),
    key(
        "server.shutdown_grace",
        Kind::Duration,
        "\"10s\"",
        "How long requests may go on after the server was told to end.",
    ),
    required(
        "database.file",
        Kind::Text,
        "The advisory database (`hullmark db update`). A replaced file is opened without a restart.",
    ),
    key(
        "enforcement.unscanned",
        Kind::Words(&["deny", "warn", "allow"]),
        "\"deny\"",
        "What happens to an image that was not scanned.",
    ),
    key(
        "enforcement.on_failure",
        Kind::Words(&["closed", "open"]),
        "\"closed\"",
        "What happens when no verdict can be had or recorded: deny, or allow and say so in the record.",
    ),
    key(
        "enforcement.verdict_max_age",
        Kind::Duration,
        "\"24h\"",
        "How long a verdict is used before it is made anew from the stored inventory.",
    ),
    key(
        "enforcement.modes.registry_gate",
        MODES,
        "\"enforce\"",
        "Whether a denial stops anything at the registry gate, or is only said and recorded.",
    ),
    key("enforcement.modes.admission", MODES, "\"enforce\"", "The same at the admission webhook."),
    key("enforcement.modes.oci_hook", MODES, "\"enforce\"", "The same at the OCI hook."),
    key(
        "enforcement.modes.image_verifier",
        MODES,
        "\"enforce\"",
        "The same at the image verifier of containerd.",
    ),
    key("enforcement.modes.agent", MODES, "\"enforce\"", "The same at the agent."),
    optional(
        "policy.file",
        Kind::Text,
        "Policy file that becomes version 1 when the store has no policy. Without it the built-in policy does. Later versions come by the API.",
    ),
    key("limits.body_bytes", Kind::Number, "4194304", "The largest body of a request, in bytes."),
    key(
        "limits.inventory_bytes",
        Kind::Number,
        "67108864",
        "The largest inventory that is sent, with its profile, in bytes.",
    ),
    key("limits.scans", Kind::Number, "4", "How many inventories are taken in at the same time; more wait."),
    key(
        "limits.request_timeout",
        Kind::Duration,
        "\"60s\"",
        "How long a request may take. Pulls through the gate have limits of their own.",
    ),
    key(
        "limits.concurrency",
        Kind::Number,
        "256",
        "How many requests are worked on at the same time, at the API and at the admission webhook each; more are refused with 503.",
    ),
    key(
        "limits.connections",
        Kind::Number,
        "4096",
        "How many connections are open at the same time; more are closed at once.",
    ),
    key(
        "limits.events",
        Kind::Number,
        "1000000",
        "How many events of running containers are kept; the ledger keeps alerts for ever.",
    ),
    key("gate.enabled", Kind::Switch, "false", "Whether there is a registry gate."),
    key("gate.anonymous", Kind::Switch, "false", "Whether pulls need no token."),
    key("gate.wait", Kind::Duration, "\"60s\"", "How long the first pull of an image waits for its scan."),
    key(
        "gate.platforms",
        Kind::Texts,
        "[\"linux/amd64\"]",
        "The platforms of an index that are scanned when the index is pulled.",
    ),
    key(
        "gate.cache_bytes",
        Kind::Number,
        "10737418240",
        "How much disk the cache of blobs may use, in bytes.",
    ),
    key(
        "gate.results_bytes",
        Kind::Number,
        "1073741824",
        "How much disk the results of layers may use, in bytes: a layer that was read before is not read again.",
    ),
    key("gate.tag_ttl", Kind::Duration, "\"60s\"", "How long what a tag points to is believed."),
    required(
        "gate.upstreams.NAME.url",
        Kind::Text,
        "Address of a registry behind the gate. NAME is the first component of repository names, such as `docker.io`.",
    ),
    optional(
        "gate.upstreams.NAME.auth_file",
        Kind::Text,
        "File with credentials for it, in the form of Docker's config.json.",
    ),
    key("gate.upstreams.NAME.plain_http", Kind::Switch, "false", "Allow plain HTTP to it."),
    optional(
        "gate.upstreams.NAME.ca_file",
        Kind::Text,
        "PEM file of certificates to trust for it besides those of the system.",
    ),
    key("admission.enabled", Kind::Switch, "false", "Whether there is an admission webhook."),
    key(
        "admission.default_registry",
        Kind::Text,
        "\"docker.io\"",
        "The registry of image names without one.",
    ),
    optional(
        "admission.gate",
        Kind::Text,
        "Host and port under which nodes know the gate: names of images there are mapped back to those of the upstream.",
    ),
    key(
        "admission.require_token",
        Kind::Switch,
        "false",
        "Whether the API server must present a token of the role `agent`.",
    ),
    key(
        "log.format",
        Kind::Words(&["text", "json"]),
        "\"text\"",
        "How the log is written, on standard error.",
    ),
    key(
        "log.level",
        Kind::Words(&["error", "warn", "info", "debug", "trace"]),
        "\"info\"",
        "What is written. Tokens never are.",
    ),
];

impl Kind {
    fn schema(self) -> Value {
        match self {
            Self::Text => json!({ "type": "string" }),
            Self::Texts => json!({ "type": "array", "items": { "type": "string" } }),
            Self::Switch => json!({ "type": "boolean" }),
            Self::Number => json!({ "type": "integer", "minimum": 0 }),
            Self::Duration => json!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$" }),
            Self::Words(words) => json!({ "enum": words }),
        }
    }

    fn name(self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Texts => "list of texts".to_owned(),
            Self::Switch => "`true` or `false`".to_owned(),
            Self::Number => "number".to_owned(),
            Self::Duration => "duration".to_owned(),
            Self::Words(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        }
    }
}

/// The JSON schema (2020-12) of the configuration, published as `docs/schema/server.schema.json`.
pub fn json_schema() -> Value {
    let mut root = table();
    for key in KEYS {
        let mut schema = key.kind.schema();
        if let Some(members) = schema.as_object_mut() {
            members.insert("description".to_owned(), json!(key.text));
            if let Some(default) = key.default.and_then(default_value) {
                members.insert("default".to_owned(), default);
            }
        }
        let parts: Vec<&str> = key.path.split('.').collect();
        insert(&mut root, &parts, schema, key.required);
    }
    // Without a certificate and its key there is no TLS.
    if let Some(tls) = root.pointer_mut("/properties/server/properties/tls").and_then(Value::as_object_mut) {
        tls.insert("required".to_owned(), json!(["certificate", "key"]));
    }
    if let Some(members) = root.as_object_mut() {
        members.insert("required".to_owned(), json!(["database", "server"]));
        for (name, value) in [
            ("$schema", "https://json-schema.org/draft/2020-12/schema"),
            ("$id", "https://hullmark.dev/schema/server.schema.json"),
            ("title", "Configuration of the Hullmark server"),
        ] {
            members.insert(name.to_owned(), json!(value));
        }
    }
    root
}

fn table() -> Value {
    json!({ "type": "object", "properties": {}, "additionalProperties": false })
}

fn insert(table: &mut Value, parts: &[&str], schema: Value, required: bool) {
    let (Some(first), Some(members)) = (parts.first(), table.as_object_mut()) else { return };
    let rest = parts.get(1..).unwrap_or_default();
    if rest.is_empty() {
        let properties = members.entry("properties").or_insert_with(|| json!({}));
        if let Some(properties) = properties.as_object_mut() {
            properties.insert((*first).to_owned(), schema);
        }
        if required && let Some(list) = members.entry("required").or_insert_with(|| json!([])).as_array_mut()
        {
            list.push(json!(first));
        }
        return;
    }
    if *first == "NAME" {
        let inner = members.entry("additionalProperties").or_insert_with(self::table);
        if !inner.is_object() {
            *inner = self::table();
        }
        return insert(inner, rest, schema, required);
    }
    let properties = members.entry("properties").or_insert_with(|| json!({}));
    if let Some(properties) = properties.as_object_mut() {
        insert(properties.entry(*first).or_insert_with(self::table), rest, schema, required);
    }
}

fn default_value(text: &str) -> Option<Value> {
    let parsed: Map<String, Value> = toml::from_str(&format!("x = {text}")).ok()?;
    parsed.get("x").cloned()
}

/// The reference page, in Markdown.
pub fn reference() -> String {
    let mut text = String::from(
        "# Configuration of the server\n\nMade by `hullmark server reference` from the list in \
         `crates/hullmark-server/src/config/keys.rs`. One TOML file; an unknown key is an error. A duration is a number with \
         `ms`, `s`, `m`, `h` or `d`. The JSON schema is [server.schema.json](../schema/server.schema.json).\n\n\
         | key | value | default | |\n|---|---|---|---|\n",
    );
    for key in KEYS {
        let default = match (key.required, key.default) {
            (true, _) => "required".to_owned(),
            (false, Some(default)) => format!("`{default}`"),
            (false, None) => String::new(),
        };
        text.push_str(&format!("| `{}` | {} | {default} | {} |\n", key.path, key.kind.name(), key.text));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::Config;

    /// A configuration with every key that has a default, and every required one.
    fn full(extra: Option<&str>) -> String {
        let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for key in KEYS {
            let (table, name) = key.path.rsplit_once('.').unwrap();
            if table == "server.tls" && extra != Some("server.tls") {
                continue;
            }
            let value = match (key.path, key.default) {
                ("server.plain_http", _) => (extra != Some("server.tls")).to_string(),
                (_, Some(default)) => default.to_owned(),
                (_, None) => "\"a/b\"".to_owned(),
            };
            tables
                .entry(table.replace("NAME", "\"docker.io\""))
                .or_default()
                .push(format!("{name} = {value}"));
        }
        let mut text = String::new();
        for (table, mut lines) in tables {
            if extra.is_some_and(|extra| table == extra.replace("NAME", "\"docker.io\"")) {
                lines.insert(0, "zzz = 1".to_owned());
            }
            text.push_str(&format!("[{table}]\n{}\n", lines.join("\n")));
        }
        text
    }

    #[test]
    fn the_list_names_the_keys_that_are_read_and_no_others() {
        Config::parse("all.toml", &full(None)).unwrap();
        let mut tables: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for key in KEYS {
            let parts: Vec<&str> = key.path.split('.').collect();
            let (table, name) = key.path.rsplit_once('.').unwrap();
            tables.entry(table).or_default().insert(name);
            if let Some((above, own)) = table.rsplit_once('.').filter(|(_, own)| *own != "NAME") {
                tables.entry(above).or_default().insert(own);
            }
            if parts.get(2) == Some(&"NAME") {
                tables.entry("gate").or_default().insert("upstreams");
            }
        }
        for (table, names) in tables {
            if table == "gate.upstreams" {
                continue;
            }
            let error = Config::parse("a.toml", &full(Some(table))).unwrap_err().to_string();
            let (_, said) = error.split_once("expected ").unwrap_or_else(|| panic!("{table}: {error}"));
            let known: BTreeSet<&str> = said.split('`').skip(1).step_by(2).collect();
            assert_eq!(known, names, "[{table}]");
            assert!(error.contains("unknown field `zzz`") && error.contains("line "), "{error}");
        }
    }

    #[test]
    fn what_is_left_out_has_the_listed_default() {
        let small = "[server]\ndata_directory = \"a/b\"\nplain_http = true\n[database]\nfile = \"a/b\"\n";
        let mut small = Config::parse("small.toml", small).unwrap();
        let mut all = Config::parse("all.toml", &full(None)).unwrap();
        // What has no default differs by intent.
        for config in [&mut small, &mut all] {
            config.server.local_socket = None;
            config.server.hook_records = None;
            config.policy.file = None;
            config.admission.gate = None;
            config.gate.upstreams.clear();
        }
        assert_eq!(format!("{small:?}"), format!("{all:?}"));
    }

    #[test]
    fn the_schema_accepts_what_is_read_and_nothing_else() {
        let validator = jsonschema::validator_for(&json_schema()).unwrap();
        let accepts = |text: &str| validator.is_valid(&toml::from_str::<Value>(text).unwrap());
        assert!(accepts(&full(None)));
        assert!(accepts(&full(Some("server.tls")).replace("zzz = 1\n", "")));
        for table in ["server", "limits", "enforcement.modes", "gate.upstreams.NAME", "log"] {
            assert!(!accepts(&full(Some(table))), "[{table}]");
        }
        let small = "[server]\ndata_directory = \"a\"\n[database]\nfile = \"b\"\n";
        assert!(accepts(small));
        for bad in ["[server]\ndata_directory = \"a\"\n", "[log]\nlevel = \"loud\"\n"] {
            assert!(!accepts(bad), "{bad}");
        }
    }
}
