//! `hullmark serve` and `hullmark server`: running a server, setting it up, its tokens.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use hullmark_server::config::{self, Config, ConfigDuration};
use hullmark_server::tokens::{self, Desk, NewToken};
use hullmark_types::{Actor, Point};
use jiff::Timestamp;

use super::Context;
use crate::cli::{ServeArguments, Server, Token};
use crate::environment;
use crate::output::to_stdout;

/// Runs the server until it is told to end.
pub fn serve(context: &Context<'_>, arguments: &ServeArguments) -> Result<()> {
    let config = Config::load(&arguments.config)?;
    hullmark_server::logging::start(&config.log);
    let environment = environment::of_server(context.global.now);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the threads of the server")?;
    Ok(runtime.block_on(hullmark_server::serve(config, environment))?)
}

/// Runs a `server` command.
pub fn run(context: &Context<'_>, command: Server) -> Result<()> {
    match command {
        Server::Init { server, name } => init(context, &server, &name),
        Server::Token(command) => token(context, command),
        Server::Schema => to_stdout(|out| {
            serde_json::to_writer_pretty(&mut *out, &config::json_schema())?;
            out.write_all(b"\n")
        }),
        Server::Reference => to_stdout(|out| out.write_all(config::reference().as_bytes())),
    }
}

/// One thread is enough for one change.
fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start a runtime")?.block_on(work)
}

fn init(context: &Context<'_>, server: &ServeArguments, name: &str) -> Result<()> {
    let config = Config::load(&server.config)?;
    let environment = environment::of_server(context.global.now);
    let directory = &config.server.data_directory;
    let secret = block_on(async { Ok(tokens::initialise(directory, name, &environment).await?) })?;
    context.talk.note(format!("`{}` is set up; the ledger has its key", directory.display()));
    context.talk.note(format!("the admin token `{name}` follows; it is shown this once:"));
    to_stdout(|out| writeln!(out, "{}", secret.expose()))
}

fn token(context: &Context<'_>, command: Token) -> Result<()> {
    match command {
        Token::Create { server, name, role, expires } => {
            let now = environment::now(context.global.now);
            let expires_at = expires.map(|text| expiry(&text, now)).transpose()?;
            let new = NewToken { name, role, expires_at };
            let secret = with_desk(context, &server, async |desk, environment| {
                Ok(desk.create(&new, &*environment.entropy).await?.0)
            })?;
            context.talk.note(format!("the token `{}` follows; it is shown this once:", new.name));
            to_stdout(|out| writeln!(out, "{}", secret.expose()))
        }
        Token::List { server } => {
            let tokens = with_desk(context, &server, async |desk, _| Ok(desk.store.tokens().await?))?;
            let now = environment::now(context.global.now);
            to_stdout(|out| {
                for token in &tokens {
                    let state = match (token.revoked_at, token.expires_at) {
                        (Some(at), _) => format!("revoked at {at}"),
                        (None, Some(at)) if at <= now => format!("expired at {at}"),
                        (None, Some(at)) => format!("expires at {at}"),
                        (None, None) => "does not expire".to_owned(),
                    };
                    writeln!(
                        out,
                        "{}\t{}\tmade at {} by {}\t{state}",
                        token.name, token.role, token.created_at, token.created_by
                    )?;
                }
                Ok(())
            })
        }
        Token::Revoke { server, name } => {
            let revoked = with_desk(context, &server, async |desk, _| Ok(desk.revoke(&name).await?))?;
            if revoked.is_none() {
                bail!("there is no token `{name}` that could be revoked");
            }
            context.talk.note(format!("the token `{name}` is refused from now on"));
            Ok(())
        }
    }
}

/// Does one thing with the tokens of a server, whether it runs or not.
fn with_desk<T>(
    context: &Context<'_>,
    server: &ServeArguments,
    work: impl AsyncFnOnce(&Desk<'_>, &hullmark_server::Environment) -> Result<T>,
) -> Result<T> {
    let config = Config::load(&server.config)?;
    let environment = environment::of_server(context.global.now);
    ensure_set_up(&config.server.data_directory, &config.store_file())?;
    block_on(async {
        let (store, trail) = tokens::open(&config.server.data_directory, &environment).await?;
        let desk = Desk {
            store: &store,
            trail: &trail,
            point: Point::Server,
            actor: Actor { name: "local".to_owned(), ..Actor::default() },
            now: (environment.clock)(),
        };
        let done = work(&desk, &environment).await;
        hullmark_server::tokens::close(&store).await;
        done
    })
}

fn ensure_set_up(directory: &Path, store: &Path) -> Result<()> {
    if !store.is_file() {
        bail!("`{}` is not a data directory\nhint: `hullmark server init` makes one", directory.display());
    }
    Ok(())
}

/// A time, or a time from now.
fn expiry(text: &str, now: Timestamp) -> Result<Timestamp> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let duration: ConfigDuration =
        text.parse().context("`--expires` takes a time such as `2027-01-01T00:00:00Z`, or a duration")?;
    now.checked_add(duration.0).context("`--expires` is too far away")
}
