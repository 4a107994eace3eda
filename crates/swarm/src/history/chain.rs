//! Each record has the sha-256 of the record before it, so that from one hash that somebody keeps all older records can be checked.
//!
//! What is hashed is the data of a record's configs as they are stored, the first part first, with nothing between them: also of a
//! record that nobody can read. Which record was before another is what the later one says; times, which are clocks', only tell
//! where nobody says anything.

use super::shelf::{Record, Shelf};
use super::{KEPT, KEPT_BYTES, read};
use crate::decode::ConfigObject;
use careen_planner::RolloutId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What a record says of the one before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Before {
    /// There was none.
    Nothing,
    /// It was this one.
    Record {
        /// Of which rollout.
        rollout: RolloutId,
        /// Its sha-256, in hexadecimal.
        sha256: String,
        /// How many bytes it had: it tells whether there was a reason to remove it.
        bytes: usize,
    },
}

impl Before {
    /// What a new record says beside those that are there. What is left of a first attempt to write it is not before it.
    pub(super) fn newest(there: &[ConfigObject], new: &RolloutId) -> Self {
        let shelf = Shelf::of(there);
        let others = shelf.records.iter().filter(|record| record.rollout != *new);
        let chain = Chain { links: others.map(Link::of).collect() };
        chain.head().map_or(Self::Nothing, |link| Self::Record {
            rollout: link.rollout.clone(),
            sha256: link.sha256.clone(),
            bytes: link.bytes,
        })
    }

    /// The rollout before.
    pub const fn rollout(&self) -> Option<&RolloutId> {
        match self {
            Self::Nothing => None,
            Self::Record { rollout, .. } => Some(rollout),
        }
    }
}

/// What a look at all records came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// How many records there are, those that cannot be read included.
    pub records: usize,
    /// Those of the chain that ends with the head, the oldest first.
    pub chain: Vec<RolloutId>,
    /// What the oldest of these says of the one before it. Nothing where there is no chain.
    pub before: Option<Before>,
    /// The newest record. Only who knows its hash from elsewhere knows that it is the one that was written.
    pub head: Option<Head>,
    /// How many records are of an older careen, which wrote no hashes.
    pub older: usize,
    /// The hashes of all records.
    #[serde(skip)]
    known: BTreeSet<String>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// The newest record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Head {
    /// Of which rollout.
    pub rollout: RolloutId,
    /// Its sha-256, in hexadecimal.
    pub sha256: String,
}

/// What is wrong with the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "finding")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Finding {
    /// A record that cannot be read.
    Unreadable {
        /// Which, and why not.
        why: String,
    },
    /// A record is not what it was when the next one was written.
    Altered {
        rollout: RolloutId,
        /// Whose record says so.
        by: RolloutId,
        was: String,
        is: String,
    },
    /// A record is gone, and older ones are there.
    Missing {
        rollout: RolloutId,
        /// Whose record says that it was there.
        by: RolloutId,
    },
    /// The record before the oldest one is gone, and careen had no reason to remove it.
    RemovedEarly { rollout: RolloutId, by: RolloutId },
    /// A record says that none was before it, and older ones are there.
    NotTheFirst { rollout: RolloutId },
    /// A record says nothing of the one before it, and older ones do.
    Unlinked { rollout: RolloutId },
    /// Several records say that one and the same was before them.
    Forked { rollouts: Vec<RolloutId>, before: RolloutId },
    /// No record was written after it, and it is not the newest.
    Unfollowed { rollout: RolloutId },
    /// Of a record in parts the first one is gone.
    FirstPartMissing {
        rollout: RolloutId,
        /// The parts that are there.
        parts: Vec<String>,
    },
    /// A config of the history that belongs to no record.
    Stray { name: String },
    /// A rollout is over, and has no record.
    Unrecorded { rollout: RolloutId },
    /// No record has this hash.
    OtherHead { sha256: String },
}

impl Verification {
    /// With the hash of a head that was kept elsewhere: one of the records must have it.
    #[must_use]
    pub fn with_kept_head(mut self, sha256: &str) -> Self {
        let before_all = match &self.before {
            Some(Before::Record { sha256: before, .. }) => before == sha256,
            Some(Before::Nothing) | None => false,
        };
        if !before_all && !self.known.contains(sha256) {
            self.findings.push(Finding::OtherHead { sha256: sha256.to_owned() });
        }
        self
    }
}

/// Looks at the configs of the history. `over` and `open` are the rollouts whose own config is there: the record of one that is open
/// may be in the middle of being written.
pub fn verify(configs: &[ConfigObject], over: &[RolloutId], open: &[RolloutId]) -> Verification {
    let shelf = Shelf::of(configs);
    let chain = Chain { links: shelf.records.iter().map(Link::of).collect() };
    let mut findings = unreadable(&shelf, open);
    let recorded = |id: &&RolloutId| chain.find(id).is_some() || shelf.headless.contains_key(*id);
    let unrecorded = over.iter().filter(|id| !recorded(id)).cloned();
    findings.extend(unrecorded.map(|rollout| Finding::Unrecorded { rollout }));
    findings.extend(chain.findings());
    if findings.is_empty() {
        findings.extend(chain.removed_early());
    }
    let stretch = chain.stretch();
    let head = chain.head().map(|link| Head { rollout: link.rollout.clone(), sha256: link.sha256.clone() });
    Verification {
        records: chain.links.len(),
        before: stretch.first().and_then(|link| link.before.clone()),
        chain: stretch.into_iter().map(|link| link.rollout.clone()).collect(),
        head,
        older: chain.older().count(),
        known: chain.links.iter().map(|link| link.sha256.clone()).collect(),
        findings,
    }
}

/// What can be said of configs without knowing in which order they were written.
fn unreadable(shelf: &Shelf<'_>, open: &[RolloutId]) -> Vec<Finding> {
    let of_record = |record: &Record<'_>| read(record).err();
    let unreadable = shelf.records.iter().filter_map(of_record);
    let unreadable = unreadable.map(|why| Finding::Unreadable { why: why.to_string() });
    let headless = shelf.headless.iter().filter(|(id, _)| !open.contains(id));
    let headless =
        headless.map(|(id, parts)| Finding::FirstPartMissing { rollout: id.clone(), parts: parts.clone() });
    let extra = shelf.records.iter().flat_map(|record| &record.extra).map(|part| part.name.clone());
    let strays = shelf.strays.iter().cloned().chain(extra).map(|name| Finding::Stray { name });
    unreadable.chain(headless).chain(strays).collect()
}

/// The records, and what each says of the one before.
struct Chain<'a> {
    links: Vec<Link<'a>>,
}

struct Link<'a> {
    rollout: &'a RolloutId,
    time: (&'a str, &'a str),
    sha256: String,
    bytes: usize,
    readable: bool,
    before: Option<Before>,
}

impl<'a> Link<'a> {
    fn of(record: &'a Record<'a>) -> Self {
        let said = read(record);
        Self {
            rollout: &record.rollout,
            time: record.time(),
            sha256: record.sha256(),
            bytes: record.weight(),
            readable: said.is_ok(),
            before: said.ok().and_then(|history| history.before),
        }
    }

    fn names(&self) -> Option<&RolloutId> {
        self.before.as_ref().and_then(Before::rollout)
    }
}

impl<'a> Chain<'a> {
    fn find(&self, rollout: &RolloutId) -> Option<&Link<'a>> {
        self.links.iter().find(|link| link.rollout == rollout)
    }

    /// The record before one, where it is there.
    fn before(&self, link: &Link<'_>) -> Option<&Link<'a>> {
        link.names().and_then(|rollout| self.find(rollout))
    }

    /// Records that no other one names as the one before it.
    fn ends(&self) -> impl Iterator<Item = &Link<'a>> {
        let named: BTreeSet<&RolloutId> = self.links.iter().filter_map(Link::names).collect();
        self.links.iter().filter(move |link| !named.contains(link.rollout))
    }

    /// The newest record: of those that nobody was written after the one that was created last.
    fn head(&self) -> Option<&Link<'a>> {
        let newest = self.ends().max_by_key(|link| link.time);
        newest.or_else(|| self.links.iter().max_by_key(|link| link.time))
    }

    /// The records from the head back as far as each has a hash of the one before, the oldest first.
    fn stretch(&self) -> Vec<&Link<'a>> {
        let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
        let mut next = self.head();
        while let Some(link) = next.filter(|link| link.before.is_some() && seen.insert(link.rollout)) {
            found.push(link);
            next = self.before(link);
        }
        found.reverse();
        found
    }

    /// Records with a hash, whose predecessor has none or is not there: where a chain begins.
    fn beginnings(&self) -> impl Iterator<Item = &Link<'a>> {
        let begins = |link: &&Link<'_>| self.before(link).is_none_or(|before| before.before.is_none());
        self.links.iter().filter(|link| link.before.is_some()).filter(begins)
    }

    /// Where the oldest chain begins. What begins later has lost what was before it.
    fn beginning(&self) -> Option<&Link<'a>> {
        self.beginnings().min_by_key(|link| link.time)
    }

    /// Records without a hash, from before the first that has one.
    fn older(&self) -> impl Iterator<Item = &Link<'a>> {
        let first = self.beginning();
        let is_older = move |link: &&Link<'_>| first.is_none_or(|first| link.time < first.time);
        self.links.iter().filter(|link| link.before.is_none() && link.readable).filter(is_older)
    }

    fn findings(&self) -> Vec<Finding> {
        let mut findings = self.altered();
        findings.extend(self.torn());
        findings.extend(self.unlinked());
        findings.extend(self.forked());
        // Of one that cannot be read nobody knows what it was written after.
        if findings.is_empty() && self.links.iter().all(|link| link.readable) {
            let head = self.head().map(|head| head.rollout);
            let loose = self.ends().filter(|link| link.before.is_some() && Some(link.rollout) != head);
            findings.extend(loose.map(|link| Finding::Unfollowed { rollout: link.rollout.clone() }));
        }
        findings
    }

    fn altered(&self) -> Vec<Finding> {
        let altered = |link: &Link<'_>| {
            let before = self.before(link).filter(|before| before.readable)?;
            let was = match &link.before {
                Some(Before::Record { sha256, .. }) if *sha256 != before.sha256 => sha256.clone(),
                Some(Before::Record { .. } | Before::Nothing) | None => return None,
            };
            let (rollout, by) = (before.rollout.clone(), link.rollout.clone());
            Some(Finding::Altered { rollout, by, was, is: before.sha256.clone() })
        };
        self.links.iter().filter_map(altered).collect()
    }

    /// Where something that was before is gone. Before the oldest record that is right: older ones are removed in time.
    fn torn(&self) -> Vec<Finding> {
        let first = self.beginning();
        // Those that were there before would have been removed first.
        let older = first.is_some_and(|first| {
            let mut unsaid = self.links.iter().filter(|link| link.before.is_none());
            unsaid.any(|link| link.time < first.time)
        });
        let is_first = |link: &Link<'_>| first.is_some_and(|first| first.rollout == link.rollout);
        let torn = |link: &Link<'_>| {
            let by = link.rollout.clone();
            match &link.before {
                _ if is_first(link) && !older => None,
                Some(Before::Record { rollout, .. }) if self.find(rollout).is_none() => {
                    Some(Finding::Missing { rollout: rollout.clone(), by })
                }
                Some(Before::Nothing) => Some(Finding::NotTheFirst { rollout: by }),
                Some(Before::Record { .. }) | None => None,
            }
        };
        self.links.iter().filter_map(torn).collect()
    }

    fn unlinked(&self) -> Vec<Finding> {
        let older: BTreeSet<&RolloutId> = self.older().map(|link| link.rollout).collect();
        let unlinked = self.links.iter().filter(|link| link.before.is_none() && link.readable);
        let unlinked = unlinked.filter(|link| !older.contains(link.rollout));
        unlinked.map(|link| Finding::Unlinked { rollout: link.rollout.clone() }).collect()
    }

    fn forked(&self) -> Vec<Finding> {
        let mut after: BTreeMap<&RolloutId, Vec<RolloutId>> = BTreeMap::new();
        for link in &self.links {
            if let Some(before) = link.names() {
                after.entry(before).or_default().push(link.rollout.clone());
            }
        }
        let forks = after.into_iter().filter(|(_, rollouts)| rollouts.len() > 1);
        forks.map(|(before, rollouts)| Finding::Forked { before: before.clone(), rollouts }).collect()
    }

    /// Whether the record before the oldest one was removed although there was room for it. Records come after it and none goes
    /// before it, so what is there now is at least what was there then.
    fn removed_early(&self) -> Option<Finding> {
        let oldest = self.beginning()?;
        let Some(Before::Record { rollout, bytes, .. }) = &oldest.before else { return None };
        let weight: usize = self.links.iter().map(|link| link.bytes).sum();
        let room = self.links.len() < KEPT && weight.saturating_add(*bytes) <= KEPT_BYTES;
        let gone = self.find(rollout).is_none();
        let (rollout, by) = (rollout.clone(), oldest.rollout.clone());
        (gone && room).then_some(Finding::RemovedEarly { rollout, by })
    }
}

#[cfg(test)]
mod tests;
