//! What a host answers to an inquiry (`careen ask`), as one line in its agent's log, and the result that a command may leave.

use crate::report::{LONGEST, MARK};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The longest result that a command may leave, in bytes. With it an answer stays one line of the host's log driver.
pub const LONGEST_RESULT: usize = 12 * 1024;

/// So much of each word beside a result travels along, in characters: one may be six bytes of JSON.
const MOST_WORDS: usize = 150;

/// So many notes.
const MOST_NOTES: usize = 2;

/// So much of why nothing was run, in characters.
const LONGEST_REFUSAL: usize = 2000;

/// What a host answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "phase")]
pub enum Answer {
    /// The command ran to its end.
    Answered {
        /// Its status; 128 and its number for a signal.
        exit: u8,
        /// How it ended, where that is not with a status of its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
        /// What it left at `CAREEN_RESULT`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<Value>,
        /// What else a person should know.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notes: Vec<String>,
        /// How many lines its agent has written to standard output: whoever reads a log sees whether it has them all.
        lines: u64,
    },
    /// Nothing was run.
    Refused {
        /// What the agent would exit with.
        exit: u8,
        /// Why.
        why: String,
    },
}

impl Answer {
    /// What the command left at `CAREEN_RESULT`.
    pub const fn result(&self) -> Option<&Value> {
        match self {
            Self::Answered { result, .. } => result.as_ref(),
            Self::Refused { .. } => None,
        }
    }

    /// As a line of a log, without its newline. Words that would make it too long are cut.
    pub fn line(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&self.fitted()).map(|json| format!("{MARK}{json}"))
    }

    /// What a line of a log answers; `None` for any other line.
    pub fn of_line(line: &str) -> Option<Self> {
        let json = line.trim_end().strip_prefix(MARK).filter(|json| json.len() <= LONGEST)?;
        serde_json::from_str(json).ok()
    }

    fn fitted(&self) -> Self {
        let cut = |words: &String, most| words.chars().take(most).collect::<String>();
        match self {
            Self::Answered { exit, why, result, notes, lines } => Self::Answered {
                exit: *exit,
                why: why.as_ref().map(|words| cut(words, MOST_WORDS)),
                result: result.clone(),
                notes: notes.iter().take(MOST_NOTES).map(|words| cut(words, MOST_WORDS)).collect(),
                lines: *lines,
            },
            Self::Refused { exit, why } => Self::Refused { exit: *exit, why: cut(why, LONGEST_REFUSAL) },
        }
    }
}

/// Why what a command left is no result. The command's end stands all the same.
#[derive(Debug, thiserror::Error)]
pub enum InvalidResult {
    /// More than travels.
    #[error("it has more than {LONGEST_RESULT} bytes")]
    TooLong,
    /// No JSON.
    #[error("it is no JSON")]
    NoJson(#[source] serde_json::Error),
}

/// Reads what a command left. An empty file is no result.
pub fn result(bytes: &[u8]) -> Result<Option<Value>, InvalidResult> {
    if bytes.len() > LONGEST_RESULT {
        return Err(InvalidResult::TooLong);
    }
    if bytes.trim_ascii().is_empty() {
        return Ok(None);
    }
    let value: Value = serde_json::from_slice(bytes).map_err(InvalidResult::NoJson)?;
    // Escapes may be longer as they are written than as they were read.
    match serde_json::to_vec(&value).map_err(InvalidResult::NoJson)?.len() > LONGEST_RESULT {
        true => Err(InvalidResult::TooLong),
        false => Ok(Some(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report;
    use serde_json::json;

    fn answered(result: Option<Value>, notes: Vec<String>) -> Answer {
        Answer::Answered { exit: 2, why: None, result, notes, lines: 3 }
    }

    #[test]
    fn an_answer_is_read_as_it_was_given_and_is_no_report() {
        let refused = Answer::Refused { exit: 248, why: "the disk is full".into() };
        for answer in [answered(Some(json!({ "kernel": "6.1" })), vec!["a note".into()]), refused] {
            let line = answer.line().unwrap();
            assert_eq!(Answer::of_line(&format!("{line}\r\n")), Some(answer));
            assert_eq!(Report::of_line(&line), None);
        }
        for other in ["", "careen-report {\"phase\":\"verifying\"}", "careen: answered"] {
            assert_eq!(Answer::of_line(other), None, "{other}");
        }
    }

    #[test]
    fn the_longest_result_with_the_longest_words_is_one_line() {
        let long = "\u{1}".repeat(LONGEST_RESULT / 6 - 2);
        let value = result(&serde_json::to_vec(&long).unwrap()).unwrap();
        let answer = answered(value, vec!["\u{1}".repeat(9999); 9]);
        let line = answer.line().unwrap();
        assert!(line.len() < LONGEST + MARK.len(), "{}", line.len());
        assert!(Answer::of_line(&line).is_some());
    }

    #[test]
    fn a_result_is_json_of_a_bounded_length_or_an_error() {
        assert!(result(b" \n").unwrap().is_none());
        assert_eq!(result(b"{\"a\":1}\n").unwrap(), Some(json!({ "a": 1 })));
        for bad in [&b"{"[..], b"a b", b"\xff", "[".repeat(9000).as_bytes(), b"1e999"] {
            assert!(matches!(result(bad), Err(InvalidResult::NoJson(_))), "{bad:?}");
        }
        let long = serde_json::to_vec(&"x".repeat(LONGEST_RESULT)).unwrap();
        assert!(matches!(result(&long), Err(InvalidResult::TooLong)));
    }
}
