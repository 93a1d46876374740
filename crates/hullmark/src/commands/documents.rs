//! `hullmark completions` and `hullmark man`: documents made from the command line's own definition.

use anyhow::Result;
use clap::CommandFactory;

use crate::cli::Cli;
use crate::output::to_stdout;

/// Writes the completion script for `shell`.
pub fn completions(shell: clap_complete::Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "hullmark", &mut script);
    to_stdout(|out| out.write_all(&script))
}

/// Writes the manual page of the command and all its subcommands.
pub fn manual(markdown: bool) -> Result<()> {
    let mut command = Cli::command();
    command.build();
    to_stdout(|out| match markdown {
        true => out.write_all(reference(&command).as_bytes()),
        false => pages(&command, out),
    })
}

fn pages(command: &clap::Command, out: &mut dyn std::io::Write) -> std::io::Result<()> {
    let name = command.get_bin_name().unwrap_or(command.get_name()).replace(' ', "-");
    let plain = command.clone().mut_args(|argument| argument.hide_env_values(true));
    clap_mangen::Man::new(plain).title(name).render(&mut &mut *out)?;
    for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
        pages(subcommand, out)?;
    }
    Ok(())
}

/// The reference page in Markdown: each command with its help text.
fn reference(command: &clap::Command) -> String {
    let mut text = String::from(
        "# Command line\n\nMade by `hullmark man --markdown`. Exit codes: 0 the policy passed the image, 1 the policy \
         failed it, 2 the command could not do its work.\n",
    );
    section(command, &mut text);
    text
}

fn section(command: &clap::Command, text: &mut String) {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    // A fixed width and no values of variables, so that the page does not depend on where it was made.
    let plain = command.clone().term_width(100).mut_args(|argument| argument.hide_env_values(true));
    let help = { plain }.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    text.push_str(&format!("\n## `{name}`\n\n```text\n{}\n```\n", help.join("\n").trim()));
    for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
        section(subcommand, text);
    }
}
