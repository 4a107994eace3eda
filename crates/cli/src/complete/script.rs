//! What a shell loads to complete careen's words.

use clap::Command;
use clap_complete::{Shell, generate};

const BASH: &str = include_str!("completion.bash");
const ZSH: &str = include_str!("completion.zsh");
const FISH: &str = include_str!("completion.fish");

/// The script of a shell. Those of bash, zsh and fish ask careen itself; for others there are commands and flags alone.
pub fn of(shell: Shell, command: &mut Command) -> Vec<u8> {
    let own = [(Shell::Bash, BASH), (Shell::Zsh, ZSH), (Shell::Fish, FISH)];
    if let Some((_, script)) = own.into_iter().find(|(of, _)| *of == shell) {
        return script.into();
    }
    let mut script = Vec::new();
    generate(shell, command, "careen", &mut script);
    script
}
