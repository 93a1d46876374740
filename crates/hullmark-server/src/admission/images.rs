//! Which images an object would run, each with the field that names it.
//!
//! [`to_judge`] is a pure function of the question. What it leaves out is written down in [`Nothing`].

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::review::{GroupVersionKind, Operation, Request};

/// The most images of one object.
pub const MAX_IMAGES: usize = 512;

/// The longest name of an image, in bytes: a host and a repository of 255 characters, a tag, a digest.
const MAX_REFERENCE: usize = 1024;

/// One image that an object names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedImage {
    /// The field, as in `spec.containers[0].image`.
    pub field: String,
    /// Name of the container or volume.
    pub owner: String,
    /// The image, as it is written there.
    pub reference: String,
}

/// Why there is nothing to judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nothing {
    /// Nothing is made or changed.
    Operation,
    /// The object is being deleted.
    Deleting,
    /// A part of the object that carries no image.
    SubResource,
    /// No object of this kind runs images; the webhook configuration does not ask for such.
    OtherKind,
    /// No image is new or changed.
    Unchanged,
}

/// What is to be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToJudge {
    /// These images, in the order of the object; at least one.
    Images(Vec<NamedImage>),
    /// None.
    Nothing(Nothing),
}

/// An object of a known kind that is not as objects of that kind are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct Malformed {
    /// The field.
    pub field: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// The kinds whose objects run images: group, kind, resource, and where the specification of the pod stands.
pub const KINDS: &[(&str, &str, &str, &[&str])] = &[
    ("", "Pod", "pods", &["spec"]),
    ("", "PodTemplate", "podtemplates", &["template", "spec"]),
    ("", "ReplicationController", "replicationcontrollers", &["spec", "template", "spec"]),
    ("apps", "DaemonSet", "daemonsets", &["spec", "template", "spec"]),
    ("apps", "Deployment", "deployments", &["spec", "template", "spec"]),
    ("apps", "ReplicaSet", "replicasets", &["spec", "template", "spec"]),
    ("apps", "StatefulSet", "statefulsets", &["spec", "template", "spec"]),
    ("batch", "CronJob", "cronjobs", &["spec", "jobTemplate", "spec", "template", "spec"]),
    ("batch", "Job", "jobs", &["spec", "template", "spec"]),
];

/// Parts of objects that carry no image. A part that is not listed is judged when its object is of a known kind:
/// `ephemeralcontainers` is, and so would be one that Kubernetes adds.
const WITHOUT_IMAGES: &[&str] = &[
    "approval",
    "attach",
    "binding",
    "eviction",
    "exec",
    "finalize",
    "log",
    "portforward",
    "proxy",
    "resize",
    "scale",
    "status",
    "token",
];

/// The lists of containers in the specification of a pod.
const LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Finds what is to be judged.
///
/// Of a change only images that are new or other than before are judged: else a flaw that becomes known would freeze labels
/// and finalizers of what runs already. That an object is being deleted is believed of the object as it is, not of what a
/// user sends.
///
/// # Errors
/// When the object is of a known kind and not as it must be.
pub fn to_judge(request: &Request) -> Result<ToJudge, Malformed> {
    if matches!(request.operation, Operation::Delete | Operation::Connect) {
        return Ok(ToJudge::Nothing(Nothing::Operation));
    }
    if request.sub_resource.as_deref().is_some_and(|part| WITHOUT_IMAGES.contains(&part)) {
        return Ok(ToJudge::Nothing(Nothing::SubResource));
    }
    let Some(path) = path(&request.kind) else { return Ok(ToJudge::Nothing(Nothing::OtherKind)) };
    let update = request.operation == Operation::Update;
    if update && is_being_deleted(&request.old_object) {
        return Ok(ToJudge::Nothing(Nothing::Deleting));
    }
    let mut images = extract(&request.object, path)?;
    if update {
        // An old object that cannot be read excuses nothing.
        let old = extract(&request.old_object, path).unwrap_or_default();
        let old: BTreeSet<_> = old.iter().map(identity).collect();
        images.retain(|image| !old.contains(&identity(image)));
    }
    match images.is_empty() {
        true => Ok(ToJudge::Nothing(Nothing::Unchanged)),
        false => Ok(ToJudge::Images(images)),
    }
}

/// Each different reference once, with the first place that names it and the number of further places, in the order of the
/// object: the same image is judged once.
pub fn distinct(images: &[NamedImage]) -> Vec<(&NamedImage, usize)> {
    let mut positions = BTreeMap::new();
    let mut distinct: Vec<(&NamedImage, usize)> = Vec::new();
    for image in images {
        let position = *positions.entry(image.reference.as_str()).or_insert(distinct.len());
        match distinct.get_mut(position) {
            Some((_, others)) => *others += 1,
            None => distinct.push((image, 0)),
        }
    }
    distinct
}

fn path(kind: &GroupVersionKind) -> Option<&'static [&'static str]> {
    let known = KINDS.iter().find(|(group, name, ..)| *group == kind.group && *name == kind.kind);
    known.map(|(.., path)| *path)
}

fn is_being_deleted(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").and_then(Value::as_str).is_some_and(|time| !time.is_empty())
}

/// What makes an image of an object the same as before: its list, the name of its owner, its reference.
fn identity(image: &NamedImage) -> (&str, &str, &str) {
    let list = image.field.split_once('[').map_or("", |(list, _)| list);
    (list, &image.owner, &image.reference)
}

fn extract(object: &Value, path: &[&str]) -> Result<Vec<NamedImage>, Malformed> {
    let malformed = |field: &str, problem| Malformed { field: field.to_owned(), problem };
    let mut place = String::new();
    let mut value = object.as_object().ok_or_else(|| malformed("object", "is missing"))?;
    for part in path {
        if !place.is_empty() {
            place.push('.');
        }
        place.push_str(part);
        value = match value.get(*part) {
            Some(Value::Object(inner)) => inner,
            Some(_) => return Err(malformed(&place, "must be an object")),
            None => return Err(malformed(&place, "is missing")),
        };
    }
    let mut images = Vec::new();
    for list in LISTS {
        for (field, container) in entries(value, &place, list)? {
            images.push(image(container, container.get("image"), field, "image")?);
        }
    }
    for (field, volume) in entries(value, &place, "volumes")? {
        match volume.get("image") {
            None | Some(Value::Null) => {}
            Some(Value::Object(source)) => match source.get("reference") {
                // Templates may leave it to be filled in later; of pods the API server demands it.
                None | Some(Value::Null) => {}
                Some(Value::String(reference)) if reference.is_empty() => {}
                reference => images.push(image(volume, reference, field, "image.reference")?),
            },
            Some(_) => return Err(malformed(&format!("{field}.image"), "must be an object")),
        }
    }
    match images.len() > MAX_IMAGES {
        true => Err(malformed(&place, "names more than 512 images")),
        false => Ok(images),
    }
}

type Entries<'a> = Vec<(String, &'a Map<String, Value>)>;

fn entries<'a>(spec: &'a Map<String, Value>, place: &str, list: &str) -> Result<Entries<'a>, Malformed> {
    let field = format!("{place}.{list}");
    let items = match spec.get(list) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(items)) if items.len() <= MAX_IMAGES => items,
        Some(Value::Array(_)) => return Err(Malformed { field, problem: "has more than 512 entries" }),
        Some(_) => return Err(Malformed { field, problem: "must be a list" }),
    };
    let entry = |(position, item): (usize, &'a Value)| {
        let field = format!("{field}[{position}]");
        match item.as_object() {
            Some(item) => Ok((field, item)),
            None => Err(Malformed { field, problem: "must be an object" }),
        }
    };
    items.iter().enumerate().map(entry).collect()
}

fn image(
    owner: &Map<String, Value>,
    reference: Option<&Value>,
    field: String,
    name: &str,
) -> Result<NamedImage, Malformed> {
    let field = format!("{field}.{name}");
    let problem = match reference {
        None | Some(Value::Null) => "is missing",
        Some(Value::String(text)) if text.is_empty() => "is empty",
        Some(Value::String(text)) if text.len() > MAX_REFERENCE => "has more than 1024 characters",
        Some(Value::String(text)) => {
            let owner = owner.get("name").and_then(Value::as_str).unwrap_or_default();
            let owner = owner.chars().filter(|character| !character.is_control()).take(253).collect();
            return Ok(NamedImage { field, owner, reference: text.clone() });
        }
        Some(_) => "must be a text",
    };
    Err(Malformed { field, problem })
}
