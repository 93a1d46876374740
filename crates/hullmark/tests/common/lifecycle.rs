//! A ledger that holds the life of an image, and of another beside it. Verdicts are those of real scans; the entries that
//! gates, nodes and the server write are appended as these write them.

use std::collections::BTreeMap;

use hullmark_engine::VerdictRecord;
use hullmark_ledger::Ledger;
use hullmark_testkit::ImageBuilder;
use hullmark_types::{
    Actor, Answer, Digest, EnforcementMode, ImageIdentity, Outcome, Point, TRAIL_SCHEMA, TrailKind,
    TrailRecord, VerdictLink, canonical_json,
};

use super::{Place, alpine, python};

/// The name of the image.
pub const NAME: &str = "registry.example/shop/web:1.4.2";

/// What the life leaves behind.
pub struct Lifecycle {
    /// Digest of the image's manifest.
    pub manifest: Digest,
    /// Digest of its configuration.
    pub config: Digest,
    /// Digest of the manifest of the other image.
    pub other: Digest,
}

/// Lives the life, in the directory `ledger` of the place. Leaves the images, the exceptions and the report there.
pub fn live(place: &Place) -> Lifecycle {
    let good = ImageBuilder::new()
        .layer(alpine("3.7.3", "1.1.18-r4"), "ADD rootfs.tar in /")
        .layer(python("1.26.5"), "RUN pip install urllib3==1.26.5");
    let bad = ImageBuilder::new()
        .layer(alpine("3.7.3", "1.1.18-r3"), "ADD rootfs.tar in /")
        .layer(python("1.26.4"), "RUN pip install urllib3==1.26.4");
    place.put("web.tar", good.oci_archive());
    place.put("other.tar", bad.oci_archive());
    place.put("exceptions.yaml", EXCEPTIONS);
    let (manifest, config) = (Digest::sha256(&good.manifest()), Digest::sha256(&good.config()));
    let identity = ImageIdentity {
        name: NAME.to_owned(),
        index: None,
        manifest: Some(manifest.clone()),
        config: Some(config.clone()),
    };
    let other = Digest::sha256(&bad.manifest());
    let other_identity = ImageIdentity {
        name: "registry.example/shop/other:7".to_owned(),
        manifest: Some(other.clone()),
        ..ImageIdentity::default()
    };

    let bases = place.run(&["scan", "oci-archive:web.tar", "--ledger", "rehearsal", "--format", "json"]);
    let bases: serde_json::Value = serde_json::from_str(&bases.stdout()).unwrap();
    let inputs = |name: &str| bases["verdict"]["inputs"][name].as_str().unwrap().to_owned();

    let mut ledger = Ledgerist::open(place);
    let mut started = record(TrailKind::Server, Point::Server, Answer::Noted, "08:00:00");
    started.message = "the server takes another advisory database".to_owned();
    started.detail.insert("database".to_owned(), inputs("database"));
    ledger.append(&started);
    let mut policy = record(TrailKind::Policy, Point::Api, Answer::Noted, "08:05:00");
    policy.message = "version 1 of the policy is active".to_owned();
    policy.actor = actor("alice", "security");
    policy.detail.insert("policy".to_owned(), inputs("policy"));
    policy.detail.insert("version".to_owned(), "1".to_owned());
    ledger.append(&policy);

    scan(place, "08:30:00", &["oci-archive:web.tar"], 1);
    scan(place, "08:31:00", &["oci-archive:other.tar"], 1);
    let mut exception = record(TrailKind::Exception, Point::Api, Answer::Noted, "08:40:00");
    exception.message = "an exception was stored: the service sends no cookies".to_owned();
    exception.actor = actor("alice", "security");
    exception.detail.insert("exception".to_owned(), "EX-7".to_owned());
    ledger.append(&exception);
    let verdict = ledger.size();
    scan(
        place,
        "08:45:00",
        &[
            "oci-archive:web.tar",
            "--exceptions",
            "exceptions.yaml",
            "--format",
            "json",
            "--output",
            "report.json",
        ],
        0,
    );
    let link = ledger.link(verdict);

    let mut pull = record(TrailKind::Decision, Point::RegistryGate, Answer::Allowed, "09:10:00");
    pull.image = Some(identity.clone());
    pull.verdict = Some(link.clone());
    pull.message = "allowed by policy `default`".to_owned();
    pull.actor = actor("node-7", "reader");
    pull.repeats = 2;
    ledger.append(&pull);
    let mut refused = record(TrailKind::Decision, Point::RegistryGate, Answer::Denied, "09:12:00");
    refused.image = Some(other_identity);
    refused.verdict = Some(ledger.link(3));
    refused.message = "denied by rule `fixable-high` of policy `default`".to_owned();
    ledger.append(&refused);
    let mut admission = record(TrailKind::Decision, Point::Admission, Answer::Allowed, "09:15:00");
    admission.image = Some(ImageIdentity { config: None, ..identity.clone() });
    admission.verdict = Some(link.clone());
    admission.message = "allowed by policy `default`".to_owned();
    admission.actor = Actor {
        claims: Some("system:serviceaccount:shop:deployer".to_owned()),
        ..actor("cluster-1", "agent")
    };
    admission.detail.insert("namespace".to_owned(), "shop".to_owned());
    admission.detail.insert("pod".to_owned(), "web-5d9c".to_owned());
    ledger.append(&admission);
    let mut start = record(TrailKind::Start, Point::OciHook, Answer::Allowed, "09:15:03");
    start.image = Some(ImageIdentity { manifest: None, ..identity.clone() });
    start.verdict = Some(link.clone());
    start.message = "allowed by policy `default`".to_owned();
    start.actor = actor("node-7", "agent");
    start.detail.insert("container".to_owned(), "c0ffee".to_owned());
    ledger.append(&start);
    let mut alert = record(TrailKind::Alert, Point::Agent, Answer::Denied, "11:42:17");
    alert.image = Some(identity);
    alert.message = "stopped a program that the image does not contain".to_owned();
    alert.actor = actor("node-7", "agent");
    alert.detail.insert("container".to_owned(), "c0ffee".to_owned());
    alert.detail.insert("path".to_owned(), "/tmp/.x".to_owned());
    alert.detail.insert("processes".to_owned(), "sh < python3 < containerd-shim".to_owned());
    ledger.append(&alert);
    Lifecycle { manifest, config, other }
}

/// Excuses the finding of the image.
const EXCEPTIONS: &str = "\
apiVersion: hullmark.dev/v1
kind: Exceptions
exceptions:
  - id: EX-7
    match: { vulnerability: CVE-2023-43804, package: urllib3 }
    owner: team-shop
    approver: alice
    reason: the service sends no cookies
    created: 2026-01-01
    expires: 2026-03-01
";

/// Scans as a CI job does, and expects this exit code.
fn scan(place: &Place, time: &str, arguments: &[&str], code: i32) {
    let job = "https://ci.example/jobs/4711";
    let mut command = place.command();
    command.arg("scan").args(arguments).env("CI_JOB_URL", job);
    command.env("HULLMARK_LEDGER", place.path("ledger")).env("HULLMARK_NOW", format!("2026-01-02T{time}Z"));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
}

fn actor(name: &str, role: &str) -> Actor {
    Actor { name: name.to_owned(), role: Some(role.to_owned()), claims: None }
}

fn record(kind: TrailKind, point: Point, answer: Answer, time: &str) -> TrailRecord {
    TrailRecord {
        schema: TRAIL_SCHEMA,
        kind,
        point,
        mode: EnforcementMode::Enforce,
        answer,
        image: None,
        verdict: None,
        reasons: Vec::new(),
        message: String::new(),
        actor: actor("hullmark", "server"),
        detail: BTreeMap::new(),
        repeats: 0,
        degraded: Vec::new(),
        time: format!("2026-01-02T{time}Z").parse().unwrap(),
    }
}

/// Writes the entries that no scan writes.
struct Ledgerist(Ledger);

impl Ledgerist {
    fn open(place: &Place) -> Self {
        let mut entropy = |bytes: &mut [u8]| {
            bytes.fill(7);
            Ok(())
        };
        Self(Ledger::open(&place.path("ledger"), "hullmark.dev/ledger", &mut entropy).unwrap())
    }

    fn append(&mut self, record: &TrailRecord) {
        self.0.append(&[canonical_json(record).unwrap()]).unwrap();
    }

    fn size(&mut self) -> u64 {
        self.0.refresh().unwrap();
        self.0.size()
    }

    /// The link to the verdict in an entry.
    fn link(&mut self, entry: u64) -> VerdictLink {
        self.0.refresh().unwrap();
        let record: VerdictRecord = serde_json::from_slice(&self.0.entry(entry).unwrap()).unwrap();
        let exceptions = record.exceptions.iter().filter(|e| e.excused > 0).map(|e| e.id.clone()).collect();
        assert_eq!(record.outcome == Outcome::Failed, record.exceptions.is_empty());
        VerdictLink {
            verdict: record.verdict,
            entry,
            outcome: record.outcome,
            policy: record.policy,
            policy_digest: record.inputs.policy,
            policy_version: Some(1),
            database: record.inputs.database,
            exceptions,
        }
    }
}
