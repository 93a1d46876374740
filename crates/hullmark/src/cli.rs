//! What the command line accepts, all of it. The man page, the completions and `docs/reference/cli.md` come from here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use hullmark_policy::FailOn;
use hullmark_report::{Format, SbomFormat};
use hullmark_server::auth::Role;
use hullmark_types::{Digest, Stage};
use hullmark_version::Scheme;

mod base;
mod cache;
mod progress;
mod target;

pub use base::{Base, BaseAdd};
pub use cache::{Cache, CacheArguments};
pub use progress::ProgressMode;
pub use target::{EngineArguments, PlatformChoice, RegistryArguments, TargetArguments};

/// Judge container images by a policy, and prove it afterwards.
///
/// Exit codes: 0 the policy passed the image, 1 the policy failed it, 2 the command could not do its work.
#[derive(Debug, Parser)]
#[command(name = "hullmark", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// What every command accepts.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command accepts.
#[derive(Debug, Args)]
pub struct Global {
    /// Say nothing but results and errors
    #[arg(long, short, global = true, env = "HULLMARK_QUIET")]
    pub quiet: bool,
    /// What is said on standard error while the command works
    #[arg(long, global = true, value_name = "MODE", default_value = "auto", env = "HULLMARK_PROGRESS")]
    pub progress: ProgressMode,
    /// Contact no other machine; fail where that would be needed
    #[arg(long, global = true, env = "HULLMARK_OFFLINE")]
    pub offline: bool,
    /// Allow registries and feeds over plain HTTP on other machines than this one
    #[arg(long, global = true, env = "HULLMARK_PLAIN_HTTP")]
    pub plain_http: bool,
    /// Take this time (RFC 3339) for the current time, to replay a scan
    #[arg(long, global = true, value_name = "TIME", env = "HULLMARK_NOW")]
    pub now: Option<jiff::Timestamp>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Take an image apart, judge it by a policy, record the verdict
    Scan(Box<Scan>),
    /// Write what is inside an image as an SBOM
    Sbom(Sbom),
    /// Write the runtime profile of an image: every program it holds, by the digest of its content
    Profile(Profile),
    /// Build, update and inspect the advisory database
    #[command(subcommand)]
    Db(Db),
    /// Say which images others are built on, so that reports tell what the base brought and what was added
    #[command(subcommand)]
    Base(Base),
    /// Look at and bound the cache of layers that were read before
    #[command(subcommand)]
    Cache(Cache),
    /// Print and check policies
    #[command(subcommand)]
    Policy(Policy),
    /// What a cluster must be told to ask at admission
    #[command(subcommand)]
    Admission(Admission),
    /// What engines must be told to run hullmark-hook
    #[command(subcommand)]
    Hook(Hook),
    /// Show, prove and verify what was recorded
    #[command(subcommand)]
    Ledger(Ledger),
    /// Run the server: API, registry gate, admission, one ledger for all
    Serve(ServeArguments),
    /// Set a server up, and make its tokens
    #[command(subcommand)]
    Server(Server),
    /// Verify a proof or an evidence bundle without the log
    Verify(Verify),
    /// Write the configuration of clients that pull through the registry gate
    #[command(subcommand)]
    Gate(Gate),
    /// List what is found: every kind of package, in images and directories, with or without licences and advisories
    Coverage {
        /// Form: table, markdown or json
        #[arg(long, default_value = "table")]
        format: CoverageFormat,
    },
    /// Order versions as package managers do
    #[command(subcommand)]
    Version(Version),
    /// Write a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual page (roff), or the reference page in Markdown
    Man {
        /// Write Markdown instead of roff
        #[arg(long)]
        markdown: bool,
    },
}

/// Which advisory database.
#[derive(Debug, Args)]
pub struct DatabaseArguments {
    /// Advisory database file [default: hullmark/advisories.db in the user's data directory]
    #[arg(long, value_name = "FILE", env = "HULLMARK_DB")]
    pub db: Option<PathBuf>,
}

/// Which ledger.
#[derive(Debug, Args)]
pub struct LedgerArguments {
    /// Directory of the ledger [default: hullmark/ledger in the user's data directory]
    #[arg(long, value_name = "DIRECTORY", env = "HULLMARK_LEDGER")]
    pub ledger: Option<PathBuf>,
}

/// Which server, and who asks it.
#[derive(Debug, Args)]
pub struct ServerArguments {
    /// Ask this server, such as `https://hullmark.example:8443`; with `scan`, its policy, exceptions and advisories count
    #[arg(long, value_name = "URL", env = "HULLMARK_SERVER")]
    pub server: Option<String>,
    /// File with the token that the server knows the caller by [default: the token itself in $HULLMARK_SERVER_TOKEN]
    #[arg(
        long = "server-token-file",
        alias = "token-file",
        value_name = "FILE",
        env = "HULLMARK_SERVER_TOKEN_FILE"
    )]
    pub token_file: Option<PathBuf>,
    /// File with the certificate authorities that the server's certificate may come from, besides the system's (PEM)
    #[arg(long, value_name = "FILE", env = "HULLMARK_CA_FILE")]
    pub ca_file: Option<PathBuf>,
}

/// Arguments of `hullmark scan`.
#[derive(Debug, Args)]
pub struct Scan {
    /// Which image.
    #[command(flatten)]
    pub target: TargetArguments,
    /// Which advisories.
    #[command(flatten)]
    pub database: DatabaseArguments,
    /// Which ledger.
    #[command(flatten)]
    pub ledger: LedgerArguments,
    /// Policy file, in place of the built-in policy
    #[arg(long, value_name = "FILE", env = "HULLMARK_POLICY", conflicts_with = "fail_on")]
    pub policy: Option<PathBuf>,
    /// Fail on any finding of this severity or above, in place of the built-in policy
    #[arg(long, value_name = "SEVERITY", env = "HULLMARK_FAIL_ON", value_parser = parse_fail_on)]
    pub fail_on: Option<FailOn>,
    /// File of exceptions to the policy
    #[arg(long, value_name = "FILE", env = "HULLMARK_EXCEPTIONS")]
    pub exceptions: Option<PathBuf>,
    /// Whose actions of the policy count: build, ship, deploy or run
    #[arg(long, default_value = "build", env = "HULLMARK_STAGE")]
    pub stage: Stage,
    /// A server that judges and records instead of this machine: what is inside the image is sent to it, not the image.
    #[command(flatten)]
    pub server: ServerArguments,
    /// Judge on this machine when the server cannot be reached or cannot work; report and record say so
    #[arg(long, requires = "server", env = "HULLMARK_DEGRADED_LOCAL")]
    pub degraded_local: bool,
    /// Form of the report: table, json, sarif or cyclonedx
    #[arg(long, default_value = "table", env = "HULLMARK_FORMAT")]
    pub format: Format,
    /// Write the report to a file; the table still goes to standard output when the file has another form
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Which server, by its configuration.
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// Configuration file of the server
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/hullmark/server.toml",
        env = "HULLMARK_SERVER_CONFIG"
    )]
    pub config: PathBuf,
}

/// The `server` commands.
#[derive(Debug, Subcommand)]
pub enum Server {
    /// Make the data directory, the ledger with its key, and the first admin token, which is printed once
    Init {
        /// Which server.
        #[command(flatten)]
        server: ServeArguments,
        /// Name of the token
        #[arg(long, default_value = "admin")]
        name: String,
    },
    /// Make, list and revoke tokens, also beside a running server
    #[command(subcommand)]
    Token(Token),
    /// Print the JSON schema of the configuration file
    Schema,
    /// Print the reference of the configuration file (Markdown)
    Reference,
}

/// The `server token` commands.
#[derive(Debug, Subcommand)]
pub enum Token {
    /// Make a token and print it, once
    Create {
        /// Which server.
        #[command(flatten)]
        server: ServeArguments,
        /// Name of the token; records bear it. A name is used once
        #[arg(long)]
        name: String,
        /// What it is good for: admin, security, ci, agent or reader
        #[arg(long)]
        role: Role,
        /// From when on it is refused: a time (RFC 3339), or a duration such as `90d`
        #[arg(long, value_name = "TIME or DURATION")]
        expires: Option<String>,
    },
    /// List the tokens
    List {
        /// Which server.
        #[command(flatten)]
        server: ServeArguments,
    },
    /// Revoke a token: it is refused from then on
    Revoke {
        /// Which server.
        #[command(flatten)]
        server: ServeArguments,
        /// Name of the token
        name: String,
    },
}

/// Arguments of `hullmark sbom`.
#[derive(Debug, Args)]
pub struct Sbom {
    /// Which image.
    #[command(flatten)]
    pub target: TargetArguments,
    /// Form of the document: cyclonedx-json or cyclonedx-xml (1.6), spdx-json or spdx-tag-value (2.3), spdx3-json (3.0.1)
    #[arg(long, default_value = "cyclonedx-json", env = "HULLMARK_SBOM_FORMAT")]
    pub format: SbomFormat,
    /// Write to a file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Arguments of `hullmark profile`.
#[derive(Debug, Args)]
pub struct Profile {
    /// Which image.
    #[command(flatten)]
    pub target: TargetArguments,
    /// Write to a file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// The `db` commands.
#[derive(Debug, Subcommand)]
pub enum Db {
    /// Fetch every configured feed that can be reached, and replace the database
    Update {
        /// Which database.
        #[command(flatten)]
        database: DatabaseArguments,
        /// File that lists the feeds (TOML), in place of the built-in list
        #[arg(long, value_name = "FILE", env = "HULLMARK_FEEDS")]
        feeds: Option<PathBuf>,
        /// Take only feeds whose name matches, such as `osv/*`; may be repeated
        #[arg(long, value_name = "GLOB")]
        only: Vec<String>,
    },
    /// Build a database from a directory, or from a server laid out like it
    Build {
        /// Directory or base URL with `osv/`, `alpine/`, `wolfi/`, `kev/`, `debian-security/` below it
        #[arg(long, value_name = "DIRECTORY or URL")]
        from: String,
        /// The database file to write
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
    },
    /// Show each feed's age and number of records
    Status {
        /// Which database.
        #[command(flatten)]
        database: DatabaseArguments,
        /// Form: table or json
        #[arg(long, default_value = "table")]
        format: TableOrJson,
    },
    /// Print the list of feeds that `db update` takes by default (TOML)
    Feeds,
}

/// A table for people, or JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TableOrJson {
    /// For people.
    Table,
    /// For machines.
    Json,
}

/// Forms of the list of what is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CoverageFormat {
    /// For people.
    Table,
    /// For documents.
    Markdown,
    /// For machines.
    Json,
}

/// The `policy` commands.
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Print the built-in policy
    Default,
    /// Check a policy file, or with --exceptions a file of exceptions
    Check {
        /// The policy file
        #[arg(value_name = "POLICY", required_unless_present = "exceptions")]
        policy: Option<PathBuf>,
        /// A file of exceptions
        #[arg(long, value_name = "FILE")]
        exceptions: Option<PathBuf>,
    },
    /// Print the JSON schema of policy files, or of exception files
    Schema {
        /// The schema of exception files instead
        #[arg(long)]
        exceptions: bool,
    },
    /// Print the facts that conditions can use (Markdown)
    Fields,
}

/// The `ledger` commands.
#[derive(Debug, Subcommand)]
pub enum Ledger {
    /// Recompute every hash of the log and check its signature; with --proof, check a proof instead
    Verify {
        /// Which ledger.
        #[command(flatten)]
        ledger: LedgerArguments,
        /// Verify this proof against the ledger's public key instead of the log
        #[arg(long, value_name = "FILE")]
        proof: Option<PathBuf>,
        /// The entry that the proof is about, where the proof does not carry it
        #[arg(long, value_name = "FILE", requires = "proof")]
        entry: Option<PathBuf>,
        /// File with the public key to trust, in place of the one beside the log
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Print the life of an image: verdicts, gate decisions, admissions, starts and alerts, and what they rest on
    Show {
        /// Which ledger.
        #[command(flatten)]
        ledger: LedgerArguments,
        /// A server's ledger instead.
        #[command(flatten)]
        server: ServerArguments,
        /// Digest of the image (index, manifest or configuration), or any other digest that entries name, or the number
        /// of an entry; all entries, one line each, when left out
        digest: Option<String>,
        /// Form: table, or json with the entries whole
        #[arg(long, default_value = "table")]
        format: TableOrJson,
    },
    /// Write the life of an image, each entry with its proof, as one document that `hullmark verify --bundle` checks offline
    Export {
        /// Which ledger.
        #[command(flatten)]
        ledger: LedgerArguments,
        /// A server's ledger instead.
        #[command(flatten)]
        server: ServerArguments,
        /// File with the public key that a server's ledger must be signed by; without it, the key that the server shows
        #[arg(long, value_name = "FILE", requires = "server")]
        key: Option<PathBuf>,
        /// Digest of the image: index, manifest or configuration
        digest: Digest,
        /// The document to write
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
        /// Add this document, which an entry must name by digest: a JSON report (its inventory, matches and verdict), or a
        /// file; may be repeated
        #[arg(long, value_name = "FILE")]
        attach: Vec<PathBuf>,
    },
    /// Write a proof that an entry is in the log (C2SP tlog-proof, carries the entry)
    Prove {
        /// Which ledger.
        #[command(flatten)]
        ledger: LedgerArguments,
        /// Number of the entry, or its digest
        entry: String,
        /// Write to a file instead of standard output
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// Arguments of `hullmark verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// What to verify.
    #[command(flatten)]
    pub evidence: EvidenceArguments,
    /// The entry that the proof is about, where the proof does not carry it
    #[arg(long, value_name = "FILE", requires = "proof")]
    pub entry: Option<PathBuf>,
    /// File with the public key to trust, such as a copy of `ledger.pub`; a bundle holds a key, which proves less
    #[arg(long, value_name = "FILE", required_unless_present = "bundle")]
    pub key: Option<PathBuf>,
}

/// One of the documents that prove something.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct EvidenceArguments {
    /// A proof, as `hullmark ledger prove` writes it
    #[arg(long, value_name = "FILE")]
    pub proof: Option<PathBuf>,
    /// A bundle, as `hullmark ledger export` writes it
    #[arg(long, value_name = "FILE")]
    pub bundle: Option<PathBuf>,
}

/// The `gate` commands.
#[derive(Debug, Subcommand)]
pub enum Gate {
    /// Print client configuration that leads to the gate and nowhere else, and says why a mirror entry would not; with
    /// --plain-http for a gate without TLS
    Config {
        /// The client
        #[arg(long = "for", value_name = "CLIENT")]
        client: GateClient,
        /// Host and port of the gate as clients reach it
        #[arg(long, value_name = "HOST[:PORT]")]
        gate: String,
        /// Registry behind the gate; may be repeated [default: docker.io]
        #[arg(long, value_name = "NAME")]
        upstream: Vec<String>,
        /// File with the certificate authority of the gate, where the client runs
        #[arg(long, value_name = "FILE")]
        ca_file: Option<PathBuf>,
    },
}

/// A client that pulls through the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GateClient {
    /// containerd, nerdctl, Kubernetes.
    Containerd,
    /// Docker Engine.
    Docker,
    /// Podman, Buildah, Skopeo, CRI-O.
    Podman,
}

/// The `version` commands.
#[derive(Debug, Subcommand)]
pub enum Version {
    /// Compare two versions: prints `<`, `=` or `>`; without versions, reads `a<TAB>b` lines from standard input and
    /// prints one line each, `!` where a version does not parse
    Compare {
        /// Version order: apk, deb, semver, npm, pep440 or go
        #[arg(long)]
        scheme: Scheme,
        /// The first version
        #[arg(requires = "right", allow_hyphen_values = true)]
        left: Option<String>,
        /// The second version
        #[arg(allow_hyphen_values = true)]
        right: Option<String>,
    },
}

/// The `admission` commands.
#[derive(Debug, Subcommand)]
pub enum Admission {
    /// Print the objects that make a cluster ask: ValidatingWebhookConfiguration, and Service (YAML)
    Manifests(AdmissionManifests),
}

/// Arguments of `hullmark admission manifests`.
#[derive(Debug, Args)]
pub struct AdmissionManifests {
    /// Address of the webhook, such as `https://hullmark.example:8443/admission/validate`
    #[arg(long, value_name = "URL", conflicts_with = "service", required_unless_present = "service")]
    pub url: Option<String>,
    /// Service of the cluster that the server is behind; it is printed too, and its namespace is exempt
    #[arg(long, value_name = "NAMESPACE/NAME", requires = "ca_file")]
    pub service: Option<String>,
    /// File with the certificate authorities that the server's certificate comes from (PEM)
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// What the API server does when the server does not answer
    #[arg(long, value_name = "POLICY", default_value = "Fail", ignore_case = true)]
    pub failure_policy: AdmissionFailurePolicy,
    /// Namespace whose objects are not sent; may be repeated
    #[arg(long, value_name = "NAME")]
    pub exempt_namespace: Vec<String>,
    /// Condition on the labels of a namespace: `name=value`, `name!=value`, `name` or `!name`; may be repeated
    #[arg(long, value_name = "CONDITION")]
    pub namespace_selector: Vec<String>,
    /// How long the API server waits, in seconds, 1 to 30
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = clap::value_parser!(u8).range(1..=30))]
    pub timeout: u8,
}

/// What the API server does when the server does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AdmissionFailurePolicy {
    /// It refuses.
    #[value(name = "Fail")]
    Fail,
    /// It goes on without.
    #[value(name = "Ignore")]
    Ignore,
}

/// The `hook` commands.
#[derive(Debug, Subcommand)]
pub enum Hook {
    /// Print what an engine must be told to run hullmark-hook
    Config(HookConfig),
}

/// Arguments of `hullmark hook config`.
#[derive(Debug, Args)]
pub struct HookConfig {
    /// The engine: podman (also CRI-O) for a hook file (JSON), containerd for an image verifier (TOML)
    #[arg(long = "for", value_name = "ENGINE")]
    pub engine: Engine,
    /// Where hullmark-hook is on the node, in place of the usual path
    #[arg(long, value_name = "FILE")]
    pub program: Option<PathBuf>,
    /// Where the configuration of hullmark-hook is on the node, in place of /etc/hullmark/hook.json
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// An engine that runs hullmark-hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// podman and CRI-O.
    Podman,
    /// containerd 2.
    Containerd,
}

fn parse_fail_on(text: &str) -> Result<FailOn, String> {
    text.parse::<FailOn>().map_err(|error| error.to_string())
}
