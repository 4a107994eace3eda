//! Which of several is meant by an id or a name. Pure.
//!
//! As docker has it: a whole id, a whole name, or as much of an id as no other one begins with, in this order.

/// What may be shortened to its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortened {
    /// An id alone, as docker has it: a name that is gone must not become the beginning of another one where something is done.
    Ids,
    /// A name, too, where something is only shown.
    IdsAndNames,
}

/// Those that are called so, by one of their names, the id first: the one with this id, else all with this name, else all of which
/// a name that may be shortened begins so.
pub fn called<'a, T>(
    all: &'a [T],
    given: &str,
    shortened: Shortened,
    names: impl Fn(&T) -> [&str; 2],
) -> Vec<&'a T> {
    if given.is_empty() {
        return Vec::new();
    }
    let of = |fits: &dyn Fn(&T) -> bool| all.iter().filter(|one| fits(one)).collect::<Vec<_>>();
    if let Some(one) = all.iter().find(|one| names(one)[0] == given) {
        return vec![one];
    }
    let exact = of(&|one| names(one)[1] == given);
    if !exact.is_empty() {
        return exact;
    }
    of(&|one| match shortened {
        Shortened::Ids => names(one)[0].starts_with(given),
        Shortened::IdsAndNames => names(one).into_iter().any(|name| name.starts_with(given)),
    })
}

/// A name and an id, for an error that lists candidates.
pub fn both(name: &str, id: &str) -> String {
    if name == id { id.to_owned() } else { format!("{name} ({id})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_id_wins_over_a_name_and_a_whole_name_over_the_beginning_of_another() {
        let nodes =
            [["id1", "w1"], ["id2", "w10"], ["w11", "m1"], ["x1", "twin"], ["x2", "twin"], ["é1", "é"]];
        for (given, ids, ids_and_names) in [
            ("w1", &["id1"][..], &["id1"][..]),
            ("w10", &["id2"], &["id2"]),
            ("w11", &["w11"], &["w11"]),
            ("w", &["w11"], &["id1", "id2", "w11"]),
            ("m", &[], &["w11"]),
            ("id", &["id1", "id2"], &["id1", "id2"]),
            ("twin", &["x1", "x2"], &["x1", "x2"]),
            ("t", &[], &["x1", "x2"]),
            ("x", &["x1", "x2"], &["x1", "x2"]),
            ("é1", &["é1"], &["é1"]),
            ("", &[], &[]),
            ("w1 ", &[], &[]),
            ("W1", &[], &[]),
            ("\u{1b}[2J", &[], &[]),
        ] {
            for (shortened, expected) in [(Shortened::Ids, ids), (Shortened::IdsAndNames, ids_and_names)] {
                let found = called(&nodes, given, shortened, |node| *node);
                let found: Vec<&str> = found.iter().map(|node| node[0]).collect();
                assert_eq!(found, expected, "{given}, {shortened:?}");
            }
        }
    }
}
