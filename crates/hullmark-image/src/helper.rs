//! Programs that keep credentials: `docker-credential-NAME get`
//! (<https://github.com/docker/docker-credential-helpers#development>).
//!
//! The program is run only when a registry asks who we are. It gets the name of the registry on its standard input, and has
//! a time and a size that it must keep to. Nothing that it prints is ever shown: it may be a secret.

use std::ffi::OsString;
use std::fmt;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use hullmark_http::Secret;
use serde::Deserialize;

use crate::credentials::Credential;

/// The longest name of a program, after `docker-credential-`.
const MAX_NAME: usize = 64;

/// The longest answer, in bytes.
const MAX_ANSWER: u64 = 64 * 1024;

/// How long a program may take. It may have to ask a server itself, or a person.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long it may take to end once it has answered.
const END: Duration = Duration::from_secs(2);

/// How often it is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(5);

/// The name by which programs say that they keep a token and no password.
const TOKEN_USER: &str = "<token>";

/// A program that keeps credentials.
#[derive(Debug, Clone)]
pub(crate) struct Helper {
    name: String,
    /// What it may know the registry by; the first that it knows counts.
    servers: Vec<String>,
    search_path: Option<OsString>,
    patience: Duration,
}

/// Why a program gave no credentials.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HelperError {
    #[error("its name is not one: expected up to {MAX_NAME} letters, digits, `-`, `_` and `.`")]
    Name,
    #[error("it is not run here")]
    NotRun,
    #[error("there is no such program in PATH")]
    Missing,
    #[error("it cannot be run: {0}")]
    Start(std::io::Error),
    #[error("it did not answer within {} seconds", PATIENCE.as_secs())]
    Slow,
    #[error("it answered more than {MAX_ANSWER} bytes")]
    Long,
    #[error("it failed; `echo {server} | {program} get` shows why")]
    Failed { program: String, server: String },
    #[error("its answer is not JSON with `Username` and `Secret`")]
    Malformed,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

impl fmt::Display for Helper {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It comes from a file, and is shown in messages.
        let name: String =
            self.name.chars().filter(|character| !character.is_control()).take(MAX_NAME).collect();
        write!(formatter, "docker-credential-{name}")
    }
}

impl Helper {
    pub(crate) fn new(name: String, servers: Vec<String>, search_path: Option<OsString>) -> Self {
        Self { name, servers, search_path, patience: PATIENCE }
    }

    /// Asks the program. `None` when it has no credentials for the registry.
    pub(crate) fn ask(&self) -> Result<Option<Credential>, HelperError> {
        let program = self.program()?;
        for server in &self.servers {
            if let Some(credential) = self.ask_for(&program, server)? {
                return Ok(Some(credential));
            }
        }
        Ok(None)
    }

    /// The file of the program, in the first directory of the search path that has it. Directories that depend on where we are
    /// do not count.
    fn program(&self) -> Result<PathBuf, HelperError> {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if self.name.is_empty() || self.name.len() > MAX_NAME || !self.name.bytes().all(letter) {
            return Err(HelperError::Name);
        }
        let search_path = self.search_path.as_ref().ok_or(HelperError::NotRun)?;
        std::env::split_paths(search_path)
            .filter(|directory| directory.is_absolute())
            .map(|directory| directory.join(self.to_string()))
            .find(|file| is_executable(file))
            .ok_or(HelperError::Missing)
    }

    fn ask_for(&self, program: &PathBuf, server: &str) -> Result<Option<Credential>, HelperError> {
        let mut child = Command::new(program)
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(HelperError::Start)?;
        let answer = self.answer(&mut child, server);
        if answer.is_err() {
            // It may have ended already; nothing more is wanted of it.
            let _ = child.kill();
            let _ = child.wait();
        }
        let (success, answer) = answer?;
        let text = String::from_utf8_lossy(&answer);
        if !success {
            // The library of these programs says so, and Docker looks for these words too.
            return match text.contains("credentials not found in native keychain") {
                true => Ok(None),
                false => Err(HelperError::Failed { program: self.to_string(), server: server.to_owned() }),
            };
        }
        let Answer { username, secret } =
            serde_json::from_slice(&answer).map_err(|_| HelperError::Malformed)?;
        Ok(match username.as_str() {
            _ if secret.is_empty() => None,
            TOKEN_USER => Some(Credential::Identity { user: String::new(), token: Secret::new(secret) }),
            user => Some(Credential::password(user, &secret)),
        })
    }

    /// What the program prints, and whether it succeeded.
    fn answer(&self, child: &mut Child, server: &str) -> Result<(bool, Vec<u8>), HelperError> {
        if let Some(mut input) = child.stdin.take() {
            // One that does not read its input may answer all the same.
            let _ = input.write_all(server.as_bytes()).and_then(|()| input.flush());
        }
        let (sender, receiver) = mpsc::channel();
        if let Some(output) = child.stdout.take() {
            // The thread ends with the program, or with whoever keeps its output open.
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                let read = output.take(MAX_ANSWER + 1).read_to_end(&mut bytes);
                let _ = sender.send(read.map(|_| bytes));
            });
        }
        let bytes = receiver.recv_timeout(self.patience).map_err(|_| HelperError::Slow)?;
        let bytes = bytes.map_err(HelperError::Start)?;
        if bytes.len() as u64 > MAX_ANSWER {
            return Err(HelperError::Long);
        }
        let mut left = END.as_millis() / LOOK.as_millis();
        loop {
            match child.try_wait().map_err(HelperError::Start)? {
                Some(status) => return Ok((status.success(), bytes)),
                None if left == 0 => return Err(HelperError::Slow),
                None => std::thread::sleep(LOOK),
            }
            left -= 1;
        }
    }
}

#[cfg(unix)]
fn is_executable(file: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(file).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(file: &std::path::Path) -> bool {
    file.is_file()
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    /// Asks a program that is this shell script.
    fn ask(script: &str) -> Result<Option<Credential>, HelperError> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("docker-credential-test");
        hullmark_testkit::script(&file, &format!("#!/bin/sh\n{script}\n"));
        let search_path = std::env::join_paths(["relative".into(), directory.path().to_owned()]).unwrap();
        let servers = vec!["https://index.docker.io/v1/".to_owned(), "docker.io".to_owned()];
        let mut helper = Helper::new("test".to_owned(), servers, Some(search_path));
        helper.patience = Duration::from_secs(3);
        helper.ask()
    }

    #[test]
    fn a_program_gives_a_password_or_a_token() {
        let answer = ask(
            r#"[ "$*" = get ] && read -r s || [ "$s" ] && echo "{\"ServerURL\":\"$s\",\"Username\":\"u\",\"Secret\":\"p\"}""#,
        );
        assert_eq!(answer.unwrap(), Some(Credential::password("u", "p")));
        let answer = ask(r#"cat > /dev/null; echo '{"Username":"<token>","Secret":"T"}'"#).unwrap();
        assert_eq!(answer, Some(Credential::Identity { user: String::new(), token: Secret::new("T") }));
        // It does not read what it is asked.
        let answer = ask(r#"echo '{"Username":"u","Secret":"p"}'"#).unwrap();
        assert_eq!(answer, Some(Credential::password("u", "p")));
    }

    #[test]
    fn a_program_that_has_nothing_is_no_error() {
        assert_eq!(ask("echo credentials not found in native keychain; exit 1").unwrap(), None);
        assert_eq!(ask(r#"echo '{"Username":"","Secret":""}'"#).unwrap(), None);
        // The registry has two names, and the program knows the second.
        let second = ask(r#"s=$(cat); case "$s" in docker.io) echo '{"Username":"u","Secret":"p"}';; *)
            echo credentials not found in native keychain; exit 1;; esac"#);
        assert_eq!(second.unwrap(), Some(Credential::password("u", "p")));
    }

    #[test]
    fn a_program_that_is_broken_is_an_error_that_shows_nothing_of_it() {
        for (script, expected) in [
            (
                "echo s3cr3t; exit 3",
                "it failed; `echo https://index.docker.io/v1/ | docker-credential-test get`",
            ),
            ("echo s3cr3t", "is not JSON"),
            ("echo '\"s3cr3t\"'", "is not JSON"),
            ("while :; do echo s3cr3ts3cr3ts3cr3ts3cr3ts3cr3ts3cr3t; done", "more than 65536 bytes"),
            ("exec sleep 60", "did not answer within"),
            ("exec > /dev/null; exec sleep 60", "did not answer within"),
        ] {
            let error = ask(script).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(expected) && !shown.contains("s3cr3t"), "{script}: {shown}");
        }
    }

    #[test]
    fn only_programs_of_the_search_path_are_run() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("docker-credential-plain"), "").unwrap();
        let ask = |name: &str, path: Option<OsString>| {
            Helper::new(name.to_owned(), vec!["r.example".to_owned()], path).ask().unwrap_err().to_string()
        };
        let path = Some(directory.path().as_os_str().to_owned());
        for name in ["../test", "a/b", "", "a b", "a\0b", &"a".repeat(65)] {
            assert!(ask(name, path.clone()).starts_with("its name is not one"), "{name}");
        }
        assert_eq!(ask("other", path.clone()), "there is no such program in PATH");
        assert_eq!(ask("plain", path), "there is no such program in PATH");
        assert_eq!(ask("other", None), "it is not run here");
    }
}
