//! os-release(5): which distribution a host has.

use serde::{Deserialize, Serialize};

/// A distribution, in its own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Os {
    /// `ID`, as `debian`; `linux` when it is not given, as the manual says.
    pub id: String,
    /// `VERSION_ID`, as `12`. Rolling distributions have none.
    pub version_id: Option<String>,
    /// `PRETTY_NAME`, for people.
    pub pretty_name: String,
}

impl Os {
    /// Reads an os-release file. Lines that are no assignments are passed over; of several assignments the last counts.
    pub fn parse(text: &str) -> Self {
        let value = |wanted: &str| {
            let mut values = text.lines().filter_map(assignment).filter(|(key, _)| *key == wanted);
            values.next_back().map(|(_, raw)| unquote(raw)).filter(|value| !value.is_empty())
        };
        Self {
            id: value("ID").unwrap_or_else(|| "linux".into()),
            version_id: value("VERSION_ID"),
            pretty_name: value("PRETTY_NAME").unwrap_or_else(|| "Linux".into()),
        }
    }
}

fn assignment(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.trim().split_once('=')?;
    let is_name = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then_some((key, value))
}

/// Takes off the quotes and escapes of a shell's word. A quote that is not closed ends with the line.
fn unquote(raw: &str) -> String {
    let mut plain = String::with_capacity(raw.len());
    let mut quote = None;
    let mut characters = raw.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), close) if open == close => quote = None,
            (None, '\\') => plain.extend(characters.next()),
            (Some('"'), '\\') => match characters.next() {
                Some(special @ ('"' | '$' | '`' | '\\')) => plain.push(special),
                other => {
                    plain.push('\\');
                    plain.extend(other);
                }
            },
            (None, blank) if blank.is_whitespace() => break,
            (_, other) => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(id: &str, version_id: Option<&str>, pretty_name: &str) -> Os {
        Os { id: id.into(), version_id: version_id.map(Into::into), pretty_name: pretty_name.into() }
    }

    #[test]
    fn files_of_real_distributions_are_read() {
        let debian = include_str!("../../fixtures/facts/os-release-debian");
        assert_eq!(Os::parse(debian), os("debian", Some("12"), "Debian GNU/Linux 12 (bookworm)"));
        let rocky = include_str!("../../fixtures/facts/os-release-rocky");
        assert_eq!(Os::parse(rocky), os("rocky", Some("9.4"), "Rocky Linux 9.4 (Blue Onyx)"));
        let alpine = include_str!("../../fixtures/facts/os-release-alpine");
        assert_eq!(Os::parse(alpine), os("alpine", Some("3.18.4"), "Alpine Linux v3.18"));
    }

    #[test]
    fn quotes_comments_and_escapes() {
        let cases = [
            ("PRETTY_NAME='it is \"so\"'", "it is \"so\""),
            (r#"PRETTY_NAME="a \"b\" \$c \`d\` \\ \n""#, r#"a "b" $c `d` \ \n"#),
            ("PRETTY_NAME=plain # a comment", "plain"),
            (r"PRETTY_NAME=two\ words", "two words"),
            ("#PRETTY_NAME=commented", "Linux"),
            ("PRETTY_NAME=\"never closed", "never closed"),
            ("PRETTY_NAME=\"ends in a backslash\\", "ends in a backslash\\"),
            ("PRETTY_NAME=", "Linux"),
            ("PRETTY_NAME=one\nPRETTY_NAME=two\r", "two"),
            ("  PRETTY_NAME=\"Größe ✓\"", "Größe ✓"),
            ("X PRETTY_NAME=no\n=\n===", "Linux"),
        ];
        for (text, pretty_name) in cases {
            assert_eq!(Os::parse(text), os("linux", None, pretty_name), "{text}");
        }
    }
}
