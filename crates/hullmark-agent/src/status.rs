//! What the agent says of itself over its socket.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// The line that asks for it.
pub const QUESTION: &str = r#"{"status":true}"#;

/// What the agent says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its version.
    pub version: String,
    /// The tier it works at.
    pub tier: String,
    /// Tracked containers.
    pub containers: u64,
    /// Control groups made within them that could not be tracked for want of space.
    #[serde(default)]
    pub control_groups_untracked: u64,
    /// Events that the kernel side saw.
    pub events_seen: u64,
    /// Events that found no space in the ring buffer.
    pub events_dropped: u64,
    /// Executions that the gate was asked about.
    pub executions_asked: u64,
    /// Executions denied.
    pub executions_denied: u64,
    /// Programs killed before their first instruction.
    pub executions_killed: u64,
    /// Executions allowed, and reported, of programs that the image does not contain.
    pub executions_alerted: u64,
    /// Files whose content was computed.
    pub files_hashed: u64,
    /// Events written to the spool.
    pub events_spooled: u64,
    /// Events lost in memory or in the spool.
    pub events_lost: u64,
    /// Batches that wait in the spool.
    pub spool_batches: u64,
    /// Their size.
    pub spool_bytes: u64,
}

impl Status {
    fn rows(&self) -> [(&'static str, &'static str, &'static str, u64); 14] {
        [
            ("containers", "gauge", "Tracked containers", self.containers),
            (
                "control_groups_untracked_total",
                "counter",
                "Control groups within containers that could not be tracked",
                self.control_groups_untracked,
            ),
            ("events_seen_total", "counter", "Events that the kernel side saw", self.events_seen),
            (
                "events_dropped_total",
                "counter",
                "Events without space in the ring buffer",
                self.events_dropped,
            ),
            (
                "executions_asked_total",
                "counter",
                "Executions the gate was asked about",
                self.executions_asked,
            ),
            ("executions_denied_total", "counter", "Executions denied", self.executions_denied),
            ("executions_killed_total", "counter", "Programs killed before they ran", self.executions_killed),
            (
                "executions_alerted_total",
                "counter",
                "Foreign programs allowed and reported",
                self.executions_alerted,
            ),
            ("files_hashed_total", "counter", "Files whose content was computed", self.files_hashed),
            ("events_spooled_total", "counter", "Events written to the spool", self.events_spooled),
            ("events_lost_total", "counter", "Events lost in memory or in the spool", self.events_lost),
            ("spool_batches", "gauge", "Batches that wait in the spool", self.spool_batches),
            ("spool_bytes", "gauge", "Size of the spool", self.spool_bytes),
            ("up", "gauge", "Whether the agent answers", 1),
        ]
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = format!("hullmark-agent {}, tier {}\n", self.version, self.tier);
        for (_, _, help, value) in self.rows() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{value:>12}  {help}");
        }
        text
    }

    /// In the text format of Prometheus.
    pub fn prometheus(&self) -> String {
        let mut text = String::new();
        for (name, kind, help, value) in self.rows() {
            let _ = write!(
                text,
                "# HELP hullmark_agent_{name} {help}.\n# TYPE hullmark_agent_{name} {kind}\nhullmark_agent_{name} {value}\n"
            );
        }
        let _ = write!(
            text,
            "# HELP hullmark_agent_info Version and tier.\n# TYPE hullmark_agent_info gauge\n\
             hullmark_agent_info{{version=\"{}\",tier=\"{}\"}} 1\n",
            self.version, self.tier
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_help_and_type() {
        let status = Status { events_dropped: 3, ..Status::default() };
        let text = status.prometheus();
        assert!(text.contains("\nhullmark_agent_events_dropped_total 3\n"), "{text}");
        assert_eq!(text.matches("# HELP").count(), text.matches("# TYPE").count());
    }
}
