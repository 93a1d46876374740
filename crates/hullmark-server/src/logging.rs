//! The log: lines for people or JSON, on standard error.

use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// Sends what is logged to standard error. What other libraries say is left out below warnings.
pub fn start(config: &LogConfig) {
    let level = config.level.to_lowercase();
    let filter =
        EnvFilter::new(format!("warn,hullmark={level},hullmark_server={level},hullmark_store={level}"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Where a log was started already, that one counts.
    let _ = match config.format {
        LogFormat::Text => subscriber.with_ansi(false).try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
}
