//! `--filter KEY=VALUE`, as docker has it: of one key one value has to fit, and every key. Pure.

use crate::backend::Summary;
use crate::spec::work;
use careen_planner::Spec;
use careen_planner::rollout::{Control, RolloutOutcome};
use strum::{EnumString, VariantNames};

/// What a rollout has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFilter {
    key: Key,
    value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "kebab-case")]
enum Key {
    Id,
    Status,
    Node,
    Image,
    Command,
    By,
}

/// How a rollout stands, in a word without blanks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "kebab-case")]
enum Word {
    Running,
    Paused,
    Aborting,
    Done,
    Failed,
    Aborted,
}

/// A text that filters nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum InvalidFilter {
    #[error("a filter is KEY=VALUE: status=failed; keys are {}", Key::VARIANTS.join(", "))]
    Syntax,
    #[error("there is no filter '{key}'; there are {}", Key::VARIANTS.join(", "))]
    Unknown { key: String },
    #[error("a status is one of {}", Word::VARIANTS.join(", "))]
    Status,
}

/// Reads `KEY=VALUE`.
pub fn parse(text: &str) -> Result<RunFilter, InvalidFilter> {
    let (key, value) = text.split_once('=').ok_or(InvalidFilter::Syntax)?;
    let key: Key = key.trim().parse().map_err(|_| InvalidFilter::Unknown { key: key.to_owned() })?;
    if value.is_empty() {
        return Err(InvalidFilter::Syntax);
    }
    if key == Key::Status && value.parse::<Word>().is_err() {
        return Err(InvalidFilter::Status);
    }
    Ok(RunFilter { key, value: value.to_owned() })
}

/// Whether one of them is about nodes: those of a rollout that goes on have to be asked for.
pub fn asks_for_nodes(filters: &[RunFilter]) -> bool {
    filters.iter().any(|filter| filter.key == Key::Node)
}

/// Whether a rollout on these nodes, by their ids and names, is one of those that are meant.
pub fn fits(filters: &[RunFilter], summary: &Summary, nodes: &[&str]) -> bool {
    filters.iter().all(|filter| {
        let mut same = filters.iter().filter(|other| other.key == filter.key);
        same.any(|filter| filter.fits(summary, nodes))
    })
}

impl RunFilter {
    fn fits(&self, summary: &Summary, nodes: &[&str]) -> bool {
        let value = self.value.as_str();
        match self.key {
            Key::Id => summary.spec.id.as_str().starts_with(value),
            Key::Status => value.parse() == Ok(word(&summary.control)),
            Key::Node => nodes.contains(&value),
            Key::Image => image_fits(&summary.spec, value),
            Key::Command => [summary.spec.command.as_str(), work(&summary.spec)].contains(&value),
            Key::By => {
                let by = summary.by.as_deref().unwrap_or_default();
                by == value || by.split('@').next() == Some(value)
            }
        }
    }
}

const fn word(control: &Control) -> Word {
    match control {
        Control::Running => Word::Running,
        Control::Paused { .. } => Word::Paused,
        Control::Aborting => Word::Aborting,
        Control::Finished { outcome } => match outcome {
            RolloutOutcome::Done => Word::Done,
            RolloutOutcome::WithFailures => Word::Failed,
            RolloutOutcome::Aborted => Word::Aborted,
        },
    }
}

/// By what it was called or pinned to, whole or without tag and digest.
fn image_fits(spec: &Spec, value: &str) -> bool {
    let names = [Some(spec.image.as_str()), spec.image_name.as_deref()];
    names.into_iter().flatten().any(|name| name == value || bare(name) == value)
}

fn bare(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or(image);
    match name.rsplit_once(':') {
        // Else it is the port of the registry.
        Some((bare, tag)) if !tag.contains('/') => bare,
        Some(_) | None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::spec;

    fn rollout(control: Control) -> Summary {
        Summary {
            spec: Spec { image_name: Some("registry:5000/update:1".into()), ..spec() },
            control,
            by: Some("root@m1".to_owned()),
            submitted: None,
            nodes: Vec::new(),
            record: None,
        }
    }

    #[test]
    fn of_one_key_one_value_has_to_fit_and_every_key() {
        let failed = rollout(Control::Finished { outcome: RolloutOutcome::WithFailures });
        let id = failed.spec.id.to_string();
        for (filters, expected) in [
            ("", true),
            ("status=failed", true),
            ("status=done", false),
            ("status=done status=failed", true),
            ("status=failed node=w2", true),
            ("status=failed node=w3", false),
            ("node=w3 node=a1", true),
            ("image=registry:5000/update:1", true),
            ("image=registry:5000/update", true),
            ("image=registry", false),
            ("command=install by=root", true),
            ("by=root@m1", true),
            ("by=root@m2", false),
        ] {
            let filters: Vec<RunFilter> = filters.split_whitespace().map(|one| parse(one).unwrap()).collect();
            assert_eq!(fits(&filters, &failed, &["a1", "w2"]), expected, "{filters:?}");
        }
        assert!(fits(&[parse(&format!("id={}", &id[..2])).unwrap()], &failed, &[]));
    }

    #[test]
    fn every_status_is_that_of_a_rollout() {
        let why = careen_planner::PauseReason::Asked;
        let finished = |outcome| Control::Finished { outcome };
        let all = [
            Control::Running,
            Control::Paused { why },
            Control::Aborting,
            finished(RolloutOutcome::Done),
            finished(RolloutOutcome::WithFailures),
            finished(RolloutOutcome::Aborted),
        ];
        for (control, status) in all.into_iter().zip(Word::VARIANTS) {
            let filter = parse(&format!("status={status}")).unwrap();
            assert!(fits(&[filter], &rollout(control), &[]), "{status}");
        }
    }

    #[test]
    fn what_filters_nothing_is_told_what_there_is() {
        for (text, told) in [
            ("failed", "KEY=VALUE"),
            ("status=", "KEY=VALUE"),
            ("state=failed", "no filter 'state'; there are id, status, node, image, command, by"),
            ("status=broken", "one of running, paused, aborting, done, failed, aborted"),
        ] {
            assert!(parse(text).unwrap_err().to_string().contains(told), "{text}");
        }
    }
}
