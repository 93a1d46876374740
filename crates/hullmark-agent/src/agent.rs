//! The agent: puts the parts together, runs them on threads of their own, and answers hooks.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use hullmark_bpf::{Counters, Kernel, KernelOptions};
use hullmark_types::{
    Action, DECISION_SCHEMA, DecisionAnswer, DecisionRequest, DriftKind, EnforcementMode, ImageIdentity,
};

use crate::config::{Config, Mode};
use crate::container::cgroup::Hierarchy;
use crate::container::{Registry, StateDirectory, StateError, Tracker, mounts};
use crate::gate::{Gate, GateCounts, Marker};
use crate::probe::Tier;
use crate::process;
use crate::profiles::{ProfileError, ProfileStore, ProgramSet, digests_of};
use crate::report::{Clock, Outbox, Sender, Spool, SpoolCounts, SpoolError, Translator};
use crate::server::{Server, ServerError, UNREACHABLE};
use crate::socket::{Answer, Socket, SocketError};
use crate::status::{QUESTION, Status};

/// How many threads read files for the gate. One is kept busy by one large file at most.
const GATE_WORKERS: usize = 3;

/// How many questions wait for them before the gate itself helps.
const GATE_QUEUE: usize = 16;

/// How long events wait in the ring buffer. Waking for each costs more than the event itself.
const DRAIN_PAUSE: Duration = Duration::from_millis(10);

/// How often the agent looks whether containers are gone and events were dropped.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

/// The agent cannot work.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The machine has no cgroup2.
    #[error("no cgroup2 hierarchy is mounted, so containers cannot be told apart")]
    NoHierarchy,
    /// `/proc` cannot be read, or a thread not be made.
    #[error("cannot {action}: {source}")]
    System {
        /// What was tried.
        action: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Profiles.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// Tracked containers.
    #[error(transparent)]
    State(#[from] StateError),
    /// Spool.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// Server.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// Socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// One of its parts broke off; the log says which.
    #[error("a part of the agent broke off")]
    Broken,
}

fn system(action: &'static str) -> impl FnOnce(io::Error) -> AgentError {
    move |source| AgentError::System { action, source }
}

/// What the threads share.
struct Agent {
    config: Config,
    tier: Tier,
    tracker: Tracker,
    profiles: ProfileStore,
    server: Option<Arc<Server>>,
    outbox: Arc<Outbox>,
    gate_counts: Arc<GateCounts>,
    spool_counts: Arc<SpoolCounts>,
    /// Events that the ring buffer had no space for, as far as they were reported.
    dropped: AtomicU64,
    /// Containers are tracked one after the other.
    tracking: Mutex<()>,
}

/// Runs the agent until `wait` gives back; when a part of the agent breaks off it calls `end`, which makes `wait` do so.
/// `spool_name` is a random text that no other spool has.
///
/// # Errors
/// When it cannot begin, or one of its parts stops to work.
pub fn run(
    config: Config,
    clock: Clock,
    spool_name: String,
    wait: impl FnOnce() -> io::Result<()>,
    end: fn(),
) -> Result<(), AgentError> {
    let data = config.data_directory.clone();
    fs::create_dir_all(&data).map_err(system("make the data directory"))?;
    let socket = Socket::listen(&config.socket)?;
    let host_mounts = mounts::of_process("self").map_err(system("read the mounts of this machine"))?;
    let hierarchy = Hierarchy::find(&host_mounts).ok_or(AgentError::NoHierarchy)?;
    let host_mount_namespace =
        process::mount_namespace("self").map_err(system("read the mount namespace"))?;
    let kernel = match Kernel::load(KernelOptions { host_mount_namespace }) {
        Ok(kernel) => Some(Arc::new(kernel)),
        Err(error) => {
            tracing::error!(%error, "there will be no events from the kernel, and nothing is killed");
            None
        }
    };
    let marker = match Marker::new() {
        Ok(marker) => Some(marker),
        Err(error) => {
            tracing::error!(%error, "there is no gate: executions are only reported");
            None
        }
    };
    let tier = match (&kernel, &marker) {
        (Some(_), Some(_)) => Tier::B,
        (None, None) => Tier::None,
        _ => Tier::C,
    };
    let registry = Arc::new(Registry::default());
    let outbox = Arc::new(Outbox::new(config.node.clone(), clock));
    let spool_counts = Arc::new(SpoolCounts::default());
    let spool = Arc::new(Spool::open(
        data.join("events"),
        spool_name,
        config.node.clone(),
        config.spool.bytes,
        Arc::clone(&spool_counts),
    )?);
    let server = config.server.as_ref().map(|server| Server::new(server, &data)).transpose()?.map(Arc::new);
    let agent = Arc::new(Agent {
        tier,
        tracker: Tracker {
            kernel: kernel.clone(),
            marker: marker.clone(),
            registry: Arc::clone(&registry),
            state: StateDirectory::open(data.join("containers"))?,
            hierarchy,
        },
        profiles: ProfileStore::open(data.join("profiles"), config.profiles.clone())?,
        server: server.clone(),
        outbox: Arc::clone(&outbox),
        gate_counts: Arc::default(),
        spool_counts,
        dropped: AtomicU64::new(0),
        tracking: Mutex::new(()),
        config,
    });
    let stopping = Arc::new(AtomicBool::new(false));
    let mut threads =
        Threads { stopping: Arc::clone(&stopping), broken: Arc::default(), end, handles: Vec::new() };
    // The gate answers before anything is marked.
    if let Some(marker) = &marker {
        let counts = Arc::clone(&agent.gate_counts);
        let gate =
            Arc::new(Gate::new(Arc::clone(marker), Arc::clone(&registry), Arc::clone(&outbox), counts));
        let (workers, questions) = sync_channel(GATE_QUEUE);
        let questions = Arc::new(Mutex::new(questions));
        for _ in 0..GATE_WORKERS {
            let (gate, questions) = (Arc::clone(&gate), Arc::clone(&questions));
            threads.spawn("gate worker", move |_| {
                gate.work(&questions);
                Ok(())
            })?;
        }
        threads.spawn("gate", move |stop| gate.run(&workers, stop).map_err(|error| error.to_string()))?;
    }
    if let Some(kernel) = kernel {
        let mut translator = Translator::new(Arc::clone(&registry), Arc::clone(&outbox));
        threads.spawn("kernel events", move |stop| {
            let go_on = || !stop.load(Ordering::Relaxed);
            kernel
                .drain(DRAIN_PAUSE, |event| translator.take(&event), go_on)
                .map_err(|error| error.to_string())
        })?;
    }
    let spooling = {
        let (spool, outbox) = (Arc::clone(&spool), Arc::clone(&outbox));
        Builder::new()
            .name("spool".to_owned())
            .spawn(move || spool.run(&outbox))
            .map_err(system("make a thread"))?
    };
    if let Some(server) = server {
        let sender = Sender { spool, server };
        threads.spawn("send", move |stop| {
            sender.run(stop);
            Ok(())
        })?;
    }
    agent.tracker.resume(|image| agent.programs_of(image, false).0);
    {
        let agent = Arc::clone(&agent);
        threads.spawn("sweep", move |stop| {
            while !stop.load(Ordering::Relaxed) {
                std::thread::sleep(SWEEP_PAUSE);
                agent.sweep();
            }
            Ok(())
        })?;
    }
    let path: PathBuf = agent.config.socket.clone();
    {
        let agent = Arc::clone(&agent);
        threads.spawn("socket", move |stop| {
            socket.run(&agent, stop);
            Ok(())
        })?;
    }
    tracing::info!(tier = %tier, socket = %path.display(), node = %agent.config.node, "the agent is ready");
    let result = wait().map_err(system("wait for a signal"));
    tracing::info!("the agent stops; from now on nothing is held to its image on this node");
    stopping.store(true, Ordering::Relaxed);
    Socket::wake(&path);
    let broken = threads.join();
    outbox.close();
    if spooling.join().is_err() {
        tracing::error!("the spool broke off");
    }
    result?;
    if broken { Err(AgentError::Broken) } else { Ok(()) }
}

/// Threads that are told to stop together.
struct Threads {
    stopping: Arc<AtomicBool>,
    broken: Arc<AtomicBool>,
    end: fn(),
    handles: Vec<JoinHandle<()>>,
}

impl Threads {
    fn spawn(
        &mut self,
        name: &'static str,
        work: impl FnOnce(&AtomicBool) -> Result<(), String> + Send + 'static,
    ) -> Result<(), AgentError> {
        let stopping = Arc::clone(&self.stopping);
        let alarm = Alarm { broken: Arc::clone(&self.broken), end: self.end, name, armed: true };
        let body = move || {
            let mut alarm = alarm;
            match work(&stopping) {
                Ok(()) => alarm.armed = false,
                Err(error) => tracing::error!(part = name, %error, "a part of the agent cannot go on"),
            }
        };
        let handle = Builder::new().name(name.to_owned()).spawn(body).map_err(system("make a thread"))?;
        self.handles.push(handle);
        Ok(())
    }

    /// Waits for all of them; gives `true` when one broke off.
    fn join(self) -> bool {
        for handle in self.handles {
            // One that panicked has rung the alarm.
            let _ = handle.join();
        }
        self.broken.load(Ordering::Relaxed)
    }
}

/// Ends the agent when a thread ends otherwise than in good order: half an agent would be taken for a whole one.
struct Alarm {
    broken: Arc<AtomicBool>,
    end: fn(),
    name: &'static str,
    armed: bool,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if self.armed {
            tracing::error!(part = self.name, "a part of the agent broke off; the agent ends");
            self.broken.store(true, Ordering::Relaxed);
            (self.end)();
        }
    }
}

impl Agent {
    /// What an image contains, and why that is not known. A server that did not answer just now is not waited for again.
    fn programs_of(
        &self,
        image: &ImageIdentity,
        unreachable: bool,
    ) -> (Option<Arc<ProgramSet>>, Option<String>) {
        let mut problem = None;
        for digest in digests_of(image) {
            match self.profiles.find(&digest) {
                Ok(Some(programs)) => return (Some(programs), None),
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(image = %digest, %error, "a profile cannot be used");
                    problem = Some("profile-unusable".to_owned());
                }
            }
            let Some(server) = &self.server else { continue };
            if unreachable {
                problem.get_or_insert_with(|| "profile-unreachable".to_owned());
                continue;
            }
            match server.profile(&digest) {
                Ok(Some(bytes)) => match self.profiles.insert(&digest, &bytes) {
                    Ok(programs) => return (Some(programs), None),
                    Err(error) => {
                        tracing::error!(image = %digest, %error, "a profile from the server cannot be used");
                        problem = Some("profile-unusable".to_owned());
                    }
                },
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(image = %digest, %error, "the profile cannot be had");
                    problem = Some("profile-unreachable".to_owned());
                    break;
                }
            }
        }
        (None, problem)
    }

    fn decide(&self, request: &DecisionRequest, asker: u32) -> DecisionAnswer {
        let mut answer = match &self.server {
            Some(server) => server.decide(request, self.outbox.now()),
            None => DecisionAnswer {
                schema: DECISION_SCHEMA,
                allow: true,
                mode: EnforcementMode::Enforce,
                reason: "allowed: the agent works without a server".to_owned(),
                verdict: None,
                manifest: None,
                entry: None,
                runtime: BTreeMap::new(),
                degraded: Vec::new(),
            },
        };
        if answer.allow {
            let degraded = self.track(request, &answer, asker);
            answer.degraded.extend(degraded);
        }
        answer
    }

    /// Takes the container of a question under watch. Gives back what is not as it should be.
    fn track(&self, request: &DecisionRequest, answer: &DecisionAnswer, asker: u32) -> Vec<String> {
        let Some(container) = &request.container else { return Vec::new() };
        let mut image = request.image.clone();
        if image.manifest.is_none() {
            image.manifest.clone_from(&answer.manifest);
        }
        let unreachable = answer.degraded.iter().any(|word| word == UNREACHABLE);
        let (programs, problem) = self.programs_of(&image, unreachable);
        let default = match self.config.mode {
            Mode::Block => Action::Fail,
            Mode::Alert => Action::Warn,
        };
        let action = |kind| (kind, answer.runtime.get(&kind).copied().unwrap_or(default));
        let actions = DriftKind::ALL.into_iter().map(action).collect();
        // What the runtime does in its own mount namespace is not the container's doing.
        let runtime_mount_namespace = process::mount_namespace(&asker.to_string()).unwrap_or_default();
        let tracking = self.tracking.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.outbox.now();
        let tracked = self.tracker.track(container, image, programs, actions, runtime_mount_namespace, now);
        drop(tracking);
        let mut degraded = tracked.unwrap_or_else(|error| {
            tracing::error!(%error, "a container starts without being tracked");
            vec![format!("untracked: {error}")]
        });
        degraded.extend(problem);
        degraded
    }

    fn counters(&self) -> Counters {
        let counters = self.tracker.kernel.as_ref().map(|kernel| kernel.counters());
        match counters {
            Some(Ok(counters)) => counters,
            Some(Err(error)) => {
                tracing::error!(%error, "the counters of the kernel side cannot be read");
                Counters::default()
            }
            None => Counters::default(),
        }
    }

    fn sweep(&self) {
        let tracking = self.tracking.lock().unwrap_or_else(PoisonError::into_inner);
        self.tracker.sweep();
        drop(tracking);
        let dropped = self.counters().dropped;
        let before = self.dropped.swap(dropped, Ordering::Relaxed);
        if dropped > before {
            let count = dropped - before;
            tracing::warn!(count, "the ring buffer was full; events were dropped");
            self.outbox.push(self.outbox.lost_event(count, "ring-buffer"));
        }
    }

    fn status(&self) -> Status {
        let kernel = self.counters();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            tier: self.tier.to_string(),
            containers: self.tracker.registry.all().len() as u64,
            control_groups_untracked: kernel.untracked,
            events_seen: kernel.seen,
            events_dropped: kernel.dropped,
            executions_asked: read(&self.gate_counts.asked),
            executions_denied: read(&self.gate_counts.denied),
            executions_killed: kernel.killed,
            executions_alerted: read(&self.gate_counts.alerted),
            files_hashed: read(&self.gate_counts.hashed),
            events_spooled: read(&self.spool_counts.events),
            events_lost: read(&self.spool_counts.lost),
            spool_batches: read(&self.spool_counts.batches),
            spool_bytes: read(&self.spool_counts.bytes),
        }
    }
}

impl Answer for Agent {
    fn answer(&self, line: &str, asker: u32) -> String {
        if line == QUESTION {
            return serde_json::to_string(&self.status()).unwrap_or_default();
        }
        let answer = match serde_json::from_str::<DecisionRequest>(line) {
            Ok(request) if request.schema == DECISION_SCHEMA => self.decide(&request, asker),
            Ok(request) => {
                refusal(&format!("the question has schema {}, expected {DECISION_SCHEMA}", request.schema))
            }
            Err(error) => refusal(&format!("the question is not understood: {error}")),
        };
        serde_json::to_string(&answer).unwrap_or_default()
    }
}

/// The answer to what is no question: whoever asks so is not let through.
fn refusal(problem: &str) -> DecisionAnswer {
    DecisionAnswer {
        schema: DECISION_SCHEMA,
        allow: false,
        mode: EnforcementMode::Enforce,
        reason: format!("denied: {}", problem.chars().take(200).collect::<String>()),
        verdict: None,
        manifest: None,
        entry: None,
        runtime: BTreeMap::new(),
        degraded: vec!["input-malformed".to_owned()],
    }
}
