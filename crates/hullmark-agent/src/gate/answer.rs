//! Answers the kernel's questions.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};

use hullmark_types::{Action, Digest, DriftKind};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::fanotify::{FanotifyEvent, FanotifyResponse, MaskFlags, Response};
use nix::sys::stat::{FileStat, SFlag, fstat};
use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, fstatfs};

use super::cache::{Cache, Key};
use super::content::{BUFFER, digest_of, is_script};
use super::{Marker, mount_of, path_of};
use crate::container::{Container, Registry};
use crate::process;
use crate::profiles::{Content, content_of};
use crate::report::{Drift, Outbox};

/// A dropped file larger than this is reported without its digest: hashing it would keep others waiting.
const MAX_REPORTED: u64 = 16 * 1024 * 1024;

/// What the gate has counted.
#[derive(Debug, Default)]
pub struct GateCounts {
    /// Questions about tracked containers.
    pub asked: AtomicU64,
    /// Executions denied.
    pub denied: AtomicU64,
    /// Executions allowed of programs that the image does not contain.
    pub alerted: AtomicU64,
    /// Files whose content was computed.
    pub hashed: AtomicU64,
}

/// Answers the kernel's questions.
#[derive(Debug)]
pub struct Gate {
    marker: Arc<Marker>,
    registry: Arc<Registry>,
    outbox: Arc<Outbox>,
    counts: Arc<GateCounts>,
    cache: Mutex<Cache>,
}

/// A question of the kernel that is not answered yet.
#[derive(Debug)]
pub struct Asked(FanotifyEvent);

/// What is made of one question.
enum Judgement {
    Allow,
    Drift { kind: DriftKind, digest: Option<Digest> },
}

impl Gate {
    /// A gate that answers the questions of a marker.
    pub fn new(
        marker: Arc<Marker>,
        registry: Arc<Registry>,
        outbox: Arc<Outbox>,
        counts: Arc<GateCounts>,
    ) -> Self {
        Self { marker, registry, outbox, counts, cache: Mutex::default() }
    }

    /// Takes the kernel's questions until `stop`. What needs no reading of a file is answered at once; the rest is passed on to
    /// those who [`work`](Self::work), or done here when they are all busy.
    ///
    /// # Errors
    /// When the kernel's questions cannot be read.
    pub fn run(&self, workers: &SyncSender<Asked>, stop: &AtomicBool) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        while !stop.load(Ordering::Relaxed) {
            let mut ready = [PollFd::new(self.marker.group.as_fd(), PollFlags::POLLIN)];
            match poll(&mut ready, PollTimeout::from(500_u16)) {
                Ok(0) | Err(Errno::EINTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            let events = match self.marker.group.read_events() {
                Ok(events) => events,
                Err(Errno::EAGAIN | Errno::EINTR) => continue,
                Err(error) => {
                    // The kernel could not open one file for us; it has denied that execution by itself.
                    tracing::warn!(%error, "the kernel could not ask about an execution");
                    continue;
                }
            };
            for event in events {
                if self.is_known(&event) {
                    if let Some(file) = event.fd() {
                        self.respond(file, Response::FAN_ALLOW);
                    }
                    continue;
                }
                if let Err(TrySendError::Full(event) | TrySendError::Disconnected(event)) =
                    workers.try_send(Asked(event))
                {
                    self.answer(event, &mut buffer);
                }
            }
        }
        Ok(())
    }

    /// Answers what [`run`](Self::run) passes on, until that has ended.
    pub fn work(&self, questions: &Mutex<Receiver<Asked>>) {
        let mut buffer = vec![0; BUFFER];
        loop {
            let next = questions.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(event) = next else { return };
            self.answer(event, &mut buffer);
        }
    }

    /// Whether an execution can be allowed without reading the file: it is none of a tracked container, or its content was
    /// computed before.
    fn is_known(&self, event: &FanotifyEvent) -> bool {
        let Some(file) = event.fd() else { return false };
        let pid = u32::try_from(event.pid()).unwrap_or_default();
        let container = match self.registry.of_process(pid) {
            Ok(Some(container)) => container,
            Ok(None) => return true,
            Err(_) => return false,
        };
        let Some(programs) = &container.programs else { return false };
        let known = fstat(file).is_ok_and(|facts| {
            let key = Key::new(container.number, &facts);
            let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            cache.get(&key).is_some_and(|content| programs.contains(&content))
        });
        if known {
            self.counts.asked.fetch_add(1, Ordering::Relaxed);
        }
        known
    }

    fn respond(&self, file: BorrowedFd<'_>, response: Response) {
        if let Err(error) = self.marker.group.write_response(FanotifyResponse::new(file, response)) {
            tracing::error!(%error, "an execution could not be answered");
        }
    }

    fn answer(&self, Asked(event): Asked, buffer: &mut [u8]) {
        let Some(file) = event.fd() else { return };
        if !event.mask().contains(MaskFlags::FAN_OPEN_EXEC_PERM) {
            return;
        }
        // Whatever happens below, even a panic: an answer is given.
        let mut question = Question { gate: self, file, open: true, unseen: Response::FAN_ALLOW };
        let pid = u32::try_from(event.pid()).unwrap_or_default();
        let container = match self.registry.of_process(pid) {
            Ok(Some(container)) => container,
            Ok(None) => return question.answer(Response::FAN_ALLOW),
            Err(error) => {
                // Only executions from the file systems of tracked containers are asked about.
                let held = self.registry.all().iter().any(|container| is_held(container));
                let response = unseen_response(held);
                tracing::error!(pid, %error, ?response, "it cannot be told which container executes a program");
                return self.answer_unseen(&mut question, response);
            }
        };
        self.counts.asked.fetch_add(1, Ordering::Relaxed);
        question.unseen = unseen_response(is_held(&container));
        let readable = match file.try_clone_to_owned() {
            Ok(readable) => File::from(readable),
            Err(error) => {
                let response = question.unseen;
                tracing::error!(container = %container.record.id, %error, ?response, "a program cannot be looked at");
                return self.answer_unseen(&mut question, response);
            }
        };
        let (kind, digest) = match self.judge(&container, &readable, buffer) {
            Judgement::Allow => return question.answer(Response::FAN_ALLOW),
            Judgement::Drift { kind, digest } => (kind, digest),
        };
        let action = container.action(kind);
        if action == Action::None {
            return question.answer(Response::FAN_ALLOW);
        }
        let blocked = action == Action::Fail;
        let (response, counter) = match blocked {
            true => (Response::FAN_DENY, &self.counts.denied),
            false => (Response::FAN_ALLOW, &self.counts.alerted),
        };
        counter.fetch_add(1, Ordering::Relaxed);
        // Looked at while the process still waits.
        let ancestry = process::ancestry(pid);
        let path = path_of(file);
        question.answer(response);
        let size = readable.metadata().map(|facts| facts.len()).unwrap_or_default();
        let digest = digest.or_else(|| {
            if size > MAX_REPORTED { None } else { digest_of(&readable, size, buffer).ok().flatten() }
        });
        self.outbox.drift(&container, Drift { kind, path, digest, size: Some(size), blocked, ancestry });
    }

    /// Answers about a program that cannot be looked at.
    fn answer_unseen(&self, question: &mut Question<'_>, response: Response) {
        if response == Response::FAN_DENY {
            self.counts.denied.fetch_add(1, Ordering::Relaxed);
        }
        question.answer(response);
    }

    fn judge(&self, container: &Container, file: &File, buffer: &mut [u8]) -> Judgement {
        let Some(programs) = &container.programs else { return Judgement::Allow };
        let facts = match fstat(file) {
            Ok(facts)
                if SFlag::from_bits_truncate(facts.st_mode & SFlag::S_IFMT.bits()) == SFlag::S_IFREG =>
            {
                facts
            }
            // Nothing else can be executed.
            Ok(_) => return Judgement::Allow,
            Err(_) => return Judgement::Drift { kind: kind_of(container, file), digest: None },
        };
        let size = u64::try_from(facts.st_size).unwrap_or_default();
        let mut digest = None;
        if programs.has_size(size) {
            match self.content(container, file, &facts, buffer) {
                Ok(Found::Known(content)) if programs.contains(&content) => return Judgement::Allow,
                Ok(Found::Computed(content, found)) => {
                    if programs.contains(&content) {
                        return Judgement::Allow;
                    }
                    digest = Some(found);
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(
                    container = %container.record.id, %error, "a program cannot be read, and counts as not of the image"
                ),
            }
        }
        Judgement::Drift { kind: kind_of(container, file), digest }
    }

    fn content(
        &self,
        container: &Container,
        file: &File,
        facts: &FileStat,
        buffer: &mut [u8],
    ) -> io::Result<Found> {
        let key = Key::new(container.number, facts);
        let keep = key.changed_before(container.record.since.as_nanosecond());
        if keep {
            let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(content) = cache.get(&key) {
                return Ok(Found::Known(content));
            }
        }
        let size = u64::try_from(facts.st_size).unwrap_or_default();
        self.counts.hashed.fetch_add(1, Ordering::Relaxed);
        let digest = digest_of(file, size, buffer)?;
        let Some((content, digest)) = digest.and_then(|digest| Some((content_of(&digest)?, digest))) else {
            return Ok(Found::Changing);
        };
        if keep
            && is_of_root(container, file)
            && fstat(file).is_ok_and(|after| Key::new(container.number, &after) == key)
        {
            let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            cache.insert(key, content);
        }
        Ok(Found::Computed(content, digest))
    }
}

enum Found {
    Known(Content),
    Computed(Content, Digest),
    /// It changed while it was read.
    Changing,
}

/// Whether a file is of the container's root file system.
fn is_of_root(container: &Container, file: &File) -> bool {
    if mount_of(file).is_ok_and(|mount| container.root_mounts.contains(&mount)) {
        return true;
    }
    // In a further mount namespace the mounts have other numbers.
    container.root_is_overlay
        && fstatfs(file).is_ok_and(|facts| facts.filesystem_type() == OVERLAYFS_SUPER_MAGIC)
}

/// Whether a container is held to its image.
fn is_held(container: &Container) -> bool {
    container.action(DriftKind::File) == Action::Fail
}

/// The answer about a program that cannot be looked at.
fn unseen_response(held: bool) -> Response {
    if held { Response::FAN_DENY } else { Response::FAN_ALLOW }
}

fn kind_of(container: &Container, file: &File) -> DriftKind {
    if !is_of_root(container, file) {
        return DriftKind::OutsideImage;
    }
    if is_script(file) { DriftKind::Script } else { DriftKind::File }
}

/// An open question: the process that asked is stopped until it is answered.
struct Question<'a> {
    gate: &'a Gate,
    file: BorrowedFd<'a>,
    open: bool,
    /// The answer when the agent's own answer breaks off.
    unseen: Response,
}

impl Question<'_> {
    fn answer(&mut self, response: Response) {
        self.open = false;
        if let Err(error) = self.gate.marker.group.write_response(FanotifyResponse::new(self.file, response))
        {
            tracing::error!(%error, "an execution could not be answered");
        }
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        if self.open {
            self.answer(self.unseen);
        }
    }
}
