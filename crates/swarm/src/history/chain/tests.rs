use super::*;
use crate::encode::LARGEST;
use crate::history::tests::history;
use crate::history::{half_written, superfluous, to_write};
use careen_contract::id::hex;
use careen_contract::label;
use sha2::{Digest, Sha256};

fn id(text: &str) -> RolloutId {
    RolloutId::parse(text).unwrap()
}

/// Writes the record of a rollout beside those that are there, as a controller does.
fn end(there: &mut Vec<ConfigObject>, name: &str) {
    end_large(there, name, 1);
}

fn end_large(there: &mut Vec<ConfigObject>, name: &str, results: usize) {
    let new = to_write(history(name, results), there).unwrap();
    let created = format!("2026-{:03}", there.len());
    there.extend(new.into_iter().map(|new| new.stored(&created)));
}

/// As a careen wrote it that knew no hashes.
fn end_of_old(there: &mut Vec<ConfigObject>, name: &str) {
    end(there, name);
    let last = there.last_mut().unwrap();
    let mut record: serde_json::Value = serde_json::from_slice(&last.data).unwrap();
    record.as_object_mut().unwrap().remove("before").unwrap();
    last.data = serde_json::to_vec(&record).unwrap();
}

fn ended(names: &[&str]) -> Vec<ConfigObject> {
    let mut all = Vec::new();
    names.iter().for_each(|name| end(&mut all, name));
    all
}

fn named<'a>(all: &'a mut [ConfigObject], name: &str) -> &'a mut ConfigObject {
    all.iter_mut().find(|config| config.name == format!("careen.history.{name}")).unwrap()
}

fn remove(all: &mut Vec<ConfigObject>, name: &str) {
    all.retain(|config| config.name != format!("careen.history.{name}"));
}

fn alter(all: &mut [ConfigObject], name: &str) {
    let config = named(all, name);
    let text = String::from_utf8(config.data.clone()).unwrap();
    config.data = text.replace("\"done\"", "\"aborted\"").into_bytes();
}

fn seen(all: &[ConfigObject]) -> Verification {
    verify(all, &[], &[])
}

fn found(all: &[ConfigObject]) -> Vec<Finding> {
    seen(all).findings
}

#[test]
fn a_history_that_nobody_touched_is_one_chain_whatever_order_it_is_listed_in() {
    let mut all = ended(&["z9", "a1", "k3"]);
    let seen = verify(&all, &[id("k3")], &[]);
    assert_eq!((seen.records, seen.older, &seen.findings), (3, 0, &Vec::new()));
    assert_eq!((seen.chain, seen.before), (vec![id("z9"), id("a1"), id("k3")], Some(Before::Nothing)));
    let head = seen.head.unwrap();
    assert_eq!(head.rollout, id("k3"));
    let whole = &named(&mut all, "k3").data;
    assert_eq!(head.sha256, hex(&Sha256::digest(whole)));
    all.reverse();
    assert_eq!(verify(&all, &[], &[]).findings, []);
    assert_eq!(verify(&[], &[], &[]).head, None);
}

#[test]
fn a_clock_that_went_back_is_no_finding() {
    let mut all = ended(&["a1", "b2", "c3"]);
    named(&mut all, "c3").created = "2025".into();
    let seen = seen(&all);
    assert_eq!((seen.findings, seen.head.unwrap().rollout), (Vec::new(), id("c3")));
}

#[test]
fn an_altered_record_is_named_by_the_next_one() {
    let mut all = ended(&["a1", "b2", "c3"]);
    alter(&mut all, "b2");
    let found = found(&all);
    assert!(
        matches!(&found[..], [Finding::Altered { rollout, by, was, is }] if *rollout == id("b2") && *by == id("c3") && was != is),
        "{found:?}"
    );
    let mut all = ended(&["a1", "b2"]);
    let kept = seen(&all).head.unwrap().sha256;
    alter(&mut all, "b2");
    assert_eq!(seen(&all).findings, [], "of the newest nothing in the swarm tells");
    let told = seen(&all).with_kept_head(&kept).findings;
    assert_eq!(told, [Finding::OtherHead { sha256: kept }], "who kept its hash knows");
}

#[test]
fn a_head_that_was_kept_is_known_as_long_as_its_record_or_the_next_one_is_there() {
    let mut all = ended(&["a1", "b2"]);
    let kept = seen(&all).head.unwrap().sha256;
    end(&mut all, "c3");
    assert_eq!(seen(&all).with_kept_head(&kept).findings, []);
    for name in ["a1", "b2"] {
        remove(&mut all, name);
    }
    let later = seen(&all).with_kept_head(&kept).findings;
    assert!(!later.iter().any(|finding| matches!(finding, Finding::OtherHead { .. })), "{later:?}");
}

#[test]
fn a_record_that_is_missing_in_the_middle_is_told_from_the_oldest_that_were_removed_in_time() {
    let mut all = ended(&["a1", "b2", "c3", "d4"]);
    remove(&mut all, "c3");
    assert_eq!(found(&all), [Finding::Missing { rollout: id("c3"), by: id("d4") }]);
    remove(&mut all, "b2");
    assert_eq!(found(&all), [Finding::Missing { rollout: id("c3"), by: id("d4") }], "how many, nobody knows");

    let names: Vec<String> = (0..KEPT + 3).map(|number| format!("r{number}")).collect();
    let mut all = ended(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let old = superfluous(&all, KEPT, KEPT_BYTES);
    assert_eq!(old.len(), 3);
    all.retain(|config| !old.contains(&config.id));
    let seen = seen(&all);
    assert_eq!((seen.findings, seen.records, &seen.chain[0]), (Vec::new(), KEPT, &id("r3")));
    assert_eq!(seen.before.as_ref().and_then(Before::rollout), Some(&id("r2")));
    remove(&mut all, "r3");
    let early = found(&all);
    assert_eq!(early, [Finding::RemovedEarly { rollout: id("r3"), by: id("r4") }], "there was room for it");
}

#[test]
fn what_was_removed_for_its_size_was_removed_in_time() {
    let mut all = Vec::new();
    for name in ["a1", "b2", "c3"] {
        end_large(&mut all, name, 40_000);
    }
    assert!(all.iter().map(|config| config.data.len()).sum::<usize>() > KEPT_BYTES, "it is too much");
    let old = superfluous(&all, KEPT, KEPT_BYTES);
    all.retain(|config| !old.contains(&config.id));
    let seen = seen(&all);
    assert_eq!((seen.records, seen.findings), (2, Vec::new()));
}

#[test]
fn records_without_hashes_are_older_and_the_chain_begins_behind_them() {
    let mut all = Vec::new();
    for name in ["a1", "b2"] {
        end_of_old(&mut all, name);
    }
    let old = seen(&all);
    assert_eq!((old.findings, old.older, old.chain), (Vec::new(), 2, Vec::new()));
    assert_eq!(old.head.unwrap().rollout, id("b2"));
    for name in ["c3", "d4"] {
        end(&mut all, name);
    }
    let new = seen(&all);
    assert_eq!((new.findings, new.older, new.chain), (Vec::new(), 2, vec![id("c3"), id("d4")]));
    assert_eq!(new.before.as_ref().and_then(Before::rollout), Some(&id("b2")));
    let mut altered = all.clone();
    alter(&mut altered, "b2");
    assert!(matches!(&found(&altered)[..], [Finding::Altered { rollout, .. }] if *rollout == id("b2")));
    let mut gone = all.clone();
    remove(&mut gone, "b2");
    assert_eq!(
        found(&gone),
        [Finding::Missing { rollout: id("b2"), by: id("c3") }],
        "a1 would have gone first"
    );
    end_of_old(&mut all, "e5");
    end(&mut all, "f6");
    let found = found(&all);
    assert!(found.contains(&Finding::Unlinked { rollout: id("e5") }), "{found:?}");
}

#[test]
fn a_record_that_is_written_twice_does_not_break_the_chain() {
    let mut all = ended(&["a1"]);
    let large = to_write(history("k3", 30_000), &all).unwrap();
    assert_eq!(large.len(), 3, "parts");
    assert_eq!(
        large.last().map(|first| first.name.as_str()),
        Some("careen.history.k3"),
        "the first one last"
    );
    // A controller died before the first part was there.
    let mut half = all.clone();
    end_large(&mut half, "k3", 30_000);
    let first = half.pop().unwrap();
    assert_eq!(first.name, "careen.history.k3");
    assert_eq!(verify(&half, &[], &[id("k3")]).findings, [], "it may be in the middle of it");
    assert_eq!(to_write(history("k3", 30_000), &half).unwrap(), large, "its successor writes the same");
    let left = ["careen.history.k3.3", "careen.history.k3.2"].map(str::to_owned);
    assert_eq!(half_written(&half, &id("k3")), Some(left.to_vec()), "once these are gone");
    assert_eq!(half_written(&half, &id("z9")), Some(Vec::new()));
    // Or behind that.
    half.push(first);
    assert_eq!(half_written(&half, &id("k3")), None, "it is whole, and is not written again");
    assert_eq!(to_write(history("k3", 30_000), &half).unwrap(), large);
    end_large(&mut all, "k3", 30_000);
    end(&mut all, "z9");
    assert_eq!(seen(&all).findings, []);
    assert!(all.iter().all(|config| config.data.len() <= LARGEST));
}

#[test]
fn parts_that_are_missing_or_too_many_are_named() {
    let mut all = ended(&["a1"]);
    end_large(&mut all, "k3", 30_000);
    end(&mut all, "z9");
    let mut no_first = all.clone();
    remove(&mut no_first, "k3");
    let parts = ["careen.history.k3.2", "careen.history.k3.3"].map(str::to_owned).to_vec();
    let found_there = found(&no_first);
    assert!(found_there.contains(&Finding::FirstPartMissing { rollout: id("k3"), parts }), "{found_there:?}");
    assert!(found_there.contains(&Finding::Missing { rollout: id("k3"), by: id("z9") }), "{found_there:?}");
    let mut no_second = all.clone();
    remove(&mut no_second, "k3.2");
    assert!(
        matches!(&found(&no_second)[..], [Finding::Unreadable { why }] if why.contains("careen.history.k3.2 is gone")),
        "{:?}",
        found(&no_second)
    );
    named(&mut all, "k3").labels.insert(label::PARTS.into(), "2".into());
    let fewer = found(&all);
    assert!(fewer.contains(&Finding::Stray { name: "careen.history.k3.3".into() }), "{fewer:?}");
    assert!(fewer.iter().any(|one| matches!(one, Finding::Altered { rollout, .. } if *rollout == id("k3"))));
}

#[test]
fn what_a_hand_put_there_is_named() {
    let all = ended(&["a1", "b2", "c3"]);
    // A forged record beside the true one: it says what the true one says.
    let mut forged = all.clone();
    let mut copy = named(&mut forged, "c3").clone();
    copy.name = "careen.history.d4".into();
    copy.data = String::from_utf8(copy.data).unwrap().replace("\"c3\"", "\"d4\"").into_bytes();
    forged.push(copy);
    let expected = Finding::Forked { rollouts: vec![id("c3"), id("d4")], before: id("b2") };
    assert_eq!(found(&forged), [expected]);
    // One that says it was the first.
    let mut first = all.clone();
    first.extend(ended(&["d4"]).into_iter().map(|one| ConfigObject { created: "2027".into(), ..one }));
    assert!(found(&first).contains(&Finding::NotTheFirst { rollout: id("d4") }), "{:?}", found(&first));
    // What is no record at all.
    let mut strange = all.clone();
    let text = ConfigObject { name: "careen.history.B2.x".into(), data: b"hello".to_vec(), ..all[0].clone() };
    strange.push(text.clone());
    assert_eq!(found(&strange), [Finding::Stray { name: text.name.clone() }]);
    let (name, created) = ("careen.history.d4".into(), "2027".into());
    let text = ConfigObject { name, created, labels: BTreeMap::new(), ..text };
    let mut strange = all.clone();
    strange.push(text);
    assert!(
        matches!(&found(&strange)[..], [Finding::Unreadable { why }] if why.contains("careen.history.d4"))
    );
    // And the next one is written all the same, behind it.
    end(&mut strange, "e5");
    let next = seen(&strange);
    assert_eq!(next.before.as_ref().and_then(Before::rollout), Some(&id("d4")));
    assert_eq!(next.findings.len(), 1, "{:?}", next.findings);
}

#[test]
fn two_records_that_name_each_other_end_no_look() {
    let mut all = ended(&["a1", "b2"]);
    let of_b2 = Before::Record { rollout: id("b2"), sha256: "00".into(), bytes: 1 };
    let mut record = read(&Shelf::of(&all).records[0]).unwrap();
    record.before = Some(of_b2);
    named(&mut all, "a1").data = serde_json::to_vec(&record).unwrap();
    assert!(!found(&all).is_empty());
    assert_eq!(seen(&all).chain.len(), 2);
}

#[test]
fn a_rollout_that_is_over_has_a_record() {
    let mut all = ended(&["a1", "b2"]);
    remove(&mut all, "b2");
    assert_eq!(verify(&all, &[id("b2")], &[]).findings, [Finding::Unrecorded { rollout: id("b2") }]);
}
