//! How nodes are called: by their hosts' names, as people know them, and by their ids where a name is not one node's (one
//! that joined anew and its ghost, machines that were cloned) or could do something else when it is typed.

use crate::ids::NodeId;
use crate::observed::Observed;
use std::collections::BTreeMap;

/// The names of a swarm's nodes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    hosts: BTreeMap<NodeId, String>,
    count: BTreeMap<String, usize>,
}

impl Names {
    /// Of these nodes: ids and host names. One that is named twice counts once.
    pub fn new(nodes: impl IntoIterator<Item = (NodeId, String)>) -> Self {
        let hosts: BTreeMap<NodeId, String> = nodes.into_iter().collect();
        let mut count: BTreeMap<String, usize> = BTreeMap::new();
        hosts.values().for_each(|host| *count.entry(host.clone()).or_default() += 1);
        Self { hosts, count }
    }

    /// Of all nodes of the swarm.
    pub fn of(observed: &Observed) -> Self {
        Self::new(observed.nodes.iter().map(|node| (node.id.clone(), node.hostname.clone())))
    }

    /// For reading: `w1`, or `w1 (x3f…)` where several are called so. The id where nobody knows a name.
    pub fn shown(&self, id: &NodeId) -> String {
        match self.hosts.get(id) {
            Some(host) if self.is_unique(host) && !is_long(host) => host.clone(),
            Some(host) => format!("{} ({id})", cut(host)),
            None => id.to_string(),
        }
    }

    /// For a command that is typed: the name, where it is one node's and nothing but a name to a shell, else the id.
    pub fn typed(&self, id: &NodeId) -> String {
        let name = self.hosts.get(id).filter(|host| self.is_unique(host) && is_plain(host));
        name.cloned().unwrap_or_else(|| id.to_string())
    }

    /// A text with names in the place of ids: in a command that it quotes ('careen restore w1') the name to be typed. Whole words
    /// alone are ids: a name may begin as one.
    pub fn in_text(&self, text: &str) -> String {
        let of_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let mut said = String::with_capacity(text.len());
        let mut rest = text;
        let mut in_command = false;
        while !rest.is_empty() {
            let word = rest.find(|c| !of_word(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(word);
            let id = NodeId(word.to_owned());
            said.push_str(&match (self.hosts.contains_key(&id), in_command) {
                (true, true) => self.typed(&id),
                (true, false) => self.shown(&id),
                (false, _) => id.0,
            });
            let between = after.find(of_word).unwrap_or(after.len());
            let (between, after) = after.split_at(between);
            said.push_str(between);
            if between.contains('\'') {
                in_command =
                    between.ends_with('\'') && ["careen ", "docker "].iter().any(|it| after.starts_with(it));
            }
            rest = after;
        }
        said
    }

    fn is_unique(&self, host: &str) -> bool {
        self.count.get(host) == Some(&1)
    }
}

/// No host has a longer name (`HOST_NAME_MAX` of Linux); what an engine says may have.
const LONGEST: usize = 64;

fn is_long(host: &str) -> bool {
    host.chars().nth(LONGEST).is_some()
}

/// As much of a name as a line has room for.
fn cut(host: &str) -> String {
    match is_long(host) {
        true => host.chars().take(LONGEST).chain(['…']).collect(),
        false => host.to_owned(),
    }
}

/// Whether a host's name is what names of hosts are made of, and no option.
pub fn is_plain(host: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !is_long(host) && host.chars().all(plain) && host.starts_with(|c: char| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(nodes: &[(&str, &str)]) -> Names {
        Names::new(nodes.iter().map(|(id, host)| (NodeId((*id).into()), (*host).to_owned())))
    }

    #[test]
    fn a_name_that_is_one_nodes_is_what_it_is_called() {
        let names = names(&[("a1", "w1"), ("b2", "w2"), ("c3", "w2"), ("d4", "w4;curl x"), ("e5", "-v")]);
        let [one, twice, odd, option] = ["a1", "b2", "d4", "e5"].map(|id| NodeId(id.into()));
        assert_eq!((names.shown(&one).as_str(), names.typed(&one).as_str()), ("w1", "w1"));
        assert_eq!((names.shown(&twice).as_str(), names.typed(&twice).as_str()), ("w2 (b2)", "b2"));
        assert_eq!(
            (names.typed(&odd).as_str(), names.typed(&option).as_str()),
            ("d4", "e5"),
            "not for a shell"
        );
        assert_eq!(names.shown(&NodeId("gone".into())), "gone");
        assert_eq!(names.in_text("without a1 and b2, c3: \u{fc}"), "without w1 and w2 (b2), w2 (c3): \u{fc}");
        assert_eq!(names.in_text("a1-again, xa1 (a1)"), "a1-again, xa1 (w1)");
    }

    #[test]
    fn a_name_that_begins_another_or_is_endless_is_told_apart_and_cut() {
        let long = "x".repeat(10_000);
        let names = names(&[("a1", "web"), ("b2", "web-1"), ("c3", "web-10"), ("d4", &long), ("web", "e5")]);
        let id = |id: &str| NodeId(id.into());
        assert_eq!(
            names.in_text("on a1, b2 and c3: 'careen skip b2'"),
            "on web, web-1 and web-10: 'careen skip web-1'"
        );
        assert_eq!(names.shown(&id("d4")), format!("{}… (d4)", &long[..64]));
        assert_eq!(names.typed(&id("d4")), "d4");
        assert_eq!(names.in_text("web-1 and web"), "web-1 and e5", "an id is a whole word");
    }

    #[test]
    fn what_is_typed_is_nothing_but_a_name() {
        for plain in ["w1", "db-1.example.org", "N_2"] {
            assert!(is_plain(plain), "{plain}");
        }
        for odd in ["", "-v", "a b", "$(x)", "a;b", "ü", "a'b", ".."] {
            assert!(!is_plain(odd), "{odd}");
        }
    }

    #[test]
    fn in_a_command_that_a_text_quotes_stands_what_is_typed() {
        let node = |id: &str, host: &str| (NodeId(id.into()), host.to_owned());
        let names =
            Names::new([node("x1", "w1"), node("x2", "w2"), node("x3", "w2"), node("x4", "w1;reboot")]);
        let text =
            |id: &str| names.in_text(&format!("it failed on {id}: 'careen restore {id}' gives {id} back"));
        assert_eq!(text("x1"), "it failed on w1: 'careen restore w1' gives w1 back");
        assert_eq!(text("x2"), "it failed on w2 (x2): 'careen restore x2' gives w2 (x2) back");
        assert_eq!(text("x4"), "it failed on w1;reboot: 'careen restore x4' gives w1;reboot back");
        assert_eq!(names.in_text("its label says 'x1'"), "its label says 'w1'");
    }
}
