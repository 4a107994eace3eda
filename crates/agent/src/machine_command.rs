//! `careen-agent machine`: somebody says whether this host's state directory is this machine's own.

use crate::layout::{self, file};
use crate::lock::Lock;
use crate::machine::{drawn, hardware, read, write};
use crate::say::say;
use crate::{durable, files, resume, transactions};
use anyhow::{Context, bail};
use careen_contract::TransactionId;
use careen_host::machine::{Machine, Verdict};
use std::io;
use std::path::Path;

/// `careen-agent machine`: whose the state directory is, and whether that is this machine, as JSON.
pub fn show(root: &Path) -> anyhow::Result<()> {
    let here = hardware();
    let machine = read(root)?;
    let (verdict, differences) = match machine.as_ref().map(|machine| machine.judge(&here)) {
        None => ("none", Vec::new()),
        Some(Verdict::Same(_)) => ("own", Vec::new()),
        Some(Verdict::Another(differences)) => ("copied", differences),
    };
    let differences: Vec<String> = differences.iter().map(ToString::to_string).collect();
    let answer = serde_json::json!({
        "machine": machine,
        "here": here,
        "standing": verdict,
        "differences": differences,
    });
    println!("{}", serde_json::to_string(&answer)?);
    Ok(())
}

/// `careen-agent machine keep`: this is the machine that the state directory belongs to, whatever it is made of now. What it
/// had begun goes on.
pub fn keep(root: &Path) -> anyhow::Result<()> {
    let creating = creating(root)?;
    let here = hardware();
    // One that cannot be read has nothing to keep but the transactions.
    let machine = match read(root) {
        Ok(Some(machine)) => Machine { hardware: here, ..machine },
        Ok(None) => drawn(here)?,
        Err(error) => {
            say(format_args!("{error:#}: it is written anew"));
            drawn(here)?
        }
    };
    write(root, &machine)?;
    drop(creating);
    println!("this is {machine}: what it had begun goes on");
    if crate::unit::find_systemd_run().is_ok() {
        return resume::run(root);
    }
    println!("this host has no systemd: the next agent takes up what is open");
    Ok(())
}

/// `careen-agent machine new`: this is another machine than the one that the state directory belongs to. What that one knew
/// of its transactions is put aside: here they neither go on nor count as done.
pub fn new(root: &Path) -> anyhow::Result<()> {
    let creating = creating(root)?;
    if let Some(id) = supervised(root)? {
        bail!(
            "transaction {id} has a supervisor that lives on this host, so it is this machine's: wait for it, or stop it \
             with 'careen-agent cancel {id}'; then try again"
        );
    }
    let machine = drawn(hardware())?;
    let aside = layout::transactions_of_another(root, &machine.id);
    match files::rename(layout::transactions(root), &aside) {
        Ok(()) => {
            durable::sync_directory(root)?;
            println!("what the other machine knew of its transactions lies in {}", aside.display());
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(error).with_context(|| format!("failed to put {} aside", aside.display()));
        }
    }
    durable::remove_file(&layout::last_facts(root)).context("failed to forget the other machine's facts")?;
    // What was in sync there need not be here.
    durable::remove_tree(&layout::enforcements(root))
        .context("failed to forget what the other machine enforced")?;
    write(root, &machine)?;
    resume::disable_when_idle(root);
    drop(creating);
    println!("this is {machine}, and nothing was begun on it");
    Ok(())
}

fn creating(root: &Path) -> anyhow::Result<Lock> {
    durable::private_directory(root)?;
    Lock::take(&layout::create_lock(root), || println!("waiting for an agent that starts its work"))
        .context("failed to lock the host's transactions")
}

/// A transaction whose supervisor lives.
fn supervised(root: &Path) -> anyhow::Result<Option<TransactionId>> {
    for id in transactions::ids(root)? {
        let directory = layout::TransactionDir::new(root, &id);
        if Lock::is_held(&directory.file(file::SUPERVISOR_LOCK))? {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_machine_puts_aside_what_the_original_knew() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), &drawn(hardware()).unwrap()).unwrap();
        let before = read(root.path()).unwrap().expect("it is written down");
        let directory = layout::transactions(root.path()).join("k3x9-w1-g1");
        std::fs::create_dir_all(&directory).unwrap();
        let lock = Lock::try_take(&directory.join(file::SUPERVISOR_LOCK)).unwrap().expect("nobody has it");
        let error = new(root.path()).expect_err("what lives here is this machine's");
        assert!(format!("{error:#}").contains("careen-agent cancel k3x9-w1-g1"), "{error:#}");
        drop(lock);
        new(root.path()).unwrap();
        let now = read(root.path()).unwrap().expect("it is written down");
        assert_ne!(now.id, before.id);
        assert!(!layout::transactions(root.path()).exists(), "it counts no more");
        assert!(layout::transactions_of_another(root.path(), &now.id).join("k3x9-w1-g1").exists());
        new(root.path()).unwrap();
    }
}
