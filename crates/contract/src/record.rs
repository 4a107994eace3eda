//! The text that is kept with a node's result: what careen itself did on the host, and what else there is to say.

/// What a line of a result's record begins with that tells a deed.
const PREFIX: &str = "careen: ";

/// What the line of a record begins with that says in short what changed.
pub const IN_SHORT: &str = "in short: ";

/// The deeds, one line each, and what else there is to say.
pub fn with_deeds(deeds: &[String], rest: Option<String>) -> Option<String> {
    let deeds = deeds.iter().map(|deed| format!("{PREFIX}{deed}"));
    let lines: Vec<String> = deeds.chain(rest).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// The deeds of a record, and the rest of it.
pub fn told(record: &str) -> (Vec<&str>, String) {
    let deeds: Vec<&str> = record.lines().map_while(|line| line.strip_prefix(PREFIX)).collect();
    let rest: Vec<&str> = record.lines().skip(deeds.len()).collect();
    (deeds, rest.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_gives_back_what_was_put_into_it() {
        let deeds = ["the engine was restarted".to_owned()];
        let record = with_deeds(&deeds, Some("vim 1 → 2\ncareen: no deed".into())).unwrap();
        assert_eq!(told(&record), (vec!["the engine was restarted"], "vim 1 → 2\ncareen: no deed".into()));
        assert_eq!(with_deeds(&[], None), None);
        assert_eq!(told("E: broken"), (vec![], "E: broken".into()));
    }
}
