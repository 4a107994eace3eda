//! A JSON array, element by element, as its bytes come. Tens of megabytes of tasks are never in memory together.
//!
//! Only where elements begin and end is found out here; what they are is for a parser to say, which gets each of them whole. An
//! array that is torn, or has something behind it, is an error.

use std::io::{self, ErrorKind, Read};

/// How much is asked for at once, in bytes.
const PIECE: usize = 128 * 1024;

/// What may come next between elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Begin,
    /// Behind the bracket: an element, or the end.
    First,
    /// Behind a comma.
    Element,
    /// Behind an element.
    CommaOrEnd,
    /// Nothing but blanks.
    Nothing,
}

/// Where one is within an element.
#[derive(Debug, Clone, Copy, Default)]
struct Within {
    depth: usize,
    in_text: bool,
    is_escaped: bool,
}

impl Within {
    /// Goes on in an element; where it ends, when it does within these bytes. A word or a number ends before what is behind it.
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            if self.is_escaped && at < bytes.len() {
                self.is_escaped = false;
                at += 1;
            }
            let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
            let found = if self.in_text {
                rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))
            } else if self.depth > 0 {
                rest.iter().position(|byte| matches!(byte, b'"' | b'{' | b'}' | b'[' | b']'))
            } else {
                let ends = |byte: &u8| matches!(byte, b'"' | b'{' | b'}' | b'[' | b']' | b',');
                rest.iter().position(|byte| ends(byte) || byte.is_ascii_whitespace())
            };
            at += found?;
            match (bytes[at], self.in_text) {
                (b'\\', _) => self.is_escaped = true,
                (b'"', _) => self.in_text = !self.in_text,
                (b'{' | b'[', _) => self.depth += 1,
                (b'}' | b']', _) if self.depth > 0 => self.depth -= 1,
                _ => return Some(at),
            }
            at += 1;
            if self.depth == 0 && !self.in_text && matches!(bytes[at - 1], b'"' | b'}' | b']') {
                return Some(at);
            }
        }
    }
}

/// Gives each element of the array that is read. Errors: those of reading, of `each`, and of what is no array.
pub fn each<E: From<io::Error>>(
    mut from: impl Read,
    mut each: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut held: Vec<u8> = Vec::with_capacity(2 * PIECE);
    let (mut next, mut at, mut start, mut within) = (Next::Begin, 0, None, Within::default());
    loop {
        while let Some(byte) = held.get(at).copied() {
            if let Some(begun) = start {
                let Some(end) = within.end(&held[at..]) else {
                    at = held.len();
                    break;
                };
                at += end;
                each(&held[begun..at])?;
                (next, start) = (Next::CommaOrEnd, None);
            } else if byte.is_ascii_whitespace() {
                at += 1;
            } else if let Some(then) = between(next, byte)? {
                (next, at) = (then, at + 1);
            } else {
                (start, within) = (Some(at), Within::default());
            }
        }
        // What is through makes room.
        let begun = start.unwrap_or(at);
        held.drain(..begun);
        (at, start) = (at - begun, start.map(|_| 0));
        if fill(&mut from, &mut held)? == 0 {
            return if next == Next::Nothing { Ok(()) } else { Err(torn("it ends too early").into()) };
        }
    }
}

/// What follows a byte between elements; `None` when it begins one.
fn between(next: Next, byte: u8) -> io::Result<Option<Next>> {
    match (next, byte) {
        (Next::Begin, b'[') => Ok(Some(Next::First)),
        (Next::First | Next::CommaOrEnd, b']') => Ok(Some(Next::Nothing)),
        (Next::CommaOrEnd, b',') => Ok(Some(Next::Element)),
        (Next::First | Next::Element, b',' | b']' | b'}')
        | (Next::Begin | Next::CommaOrEnd | Next::Nothing, _) => Err(torn("it is no list")),
        (Next::First | Next::Element, _) => Ok(None),
    }
}

fn torn(why: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

/// Reads a piece behind what is held, and says how long it was.
fn fill(from: &mut impl Read, held: &mut Vec<u8>) -> io::Result<usize> {
    let before = held.len();
    held.resize(before + PIECE, 0);
    let read = loop {
        match from.read(&mut held[before..]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => break read,
        }
    };
    held.truncate(before + read.as_ref().copied().unwrap_or(0));
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives so many bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let (now, later) = self.0.split_at(self.0.len().min(self.1).min(to.len()));
            to[..now.len()].copy_from_slice(now);
            self.0 = later;
            Ok(now.len())
        }
    }

    fn read(text: &str, piece: usize) -> Result<Vec<String>, String> {
        let mut found = Vec::new();
        let take = |element: &[u8]| {
            found.push(String::from_utf8(element.to_vec()).unwrap());
            Ok::<(), io::Error>(())
        };
        each(Slow(text.as_bytes(), piece), take).map_err(|error| error.to_string())?;
        Ok(found)
    }

    #[test]
    fn elements_are_found_wherever_the_pieces_end() {
        let text = " [ {\"a\":\"}]\\\",\",\"b\":[1,[2]]} ,\n\"x\\\\\",-1.5e3,null , [], [{}],\"ü\"]\n";
        let expected =
            ["{\"a\":\"}]\\\",\",\"b\":[1,[2]]}", "\"x\\\\\"", "-1.5e3", "null", "[]", "[{}]", "\"ü\""];
        for piece in 1..text.len() + 1 {
            assert_eq!(read(text, piece).unwrap(), expected, "{piece}");
            assert_eq!(read("[]", piece).unwrap(), [""; 0]);
            assert_eq!(read("[7]", piece).unwrap(), ["7"]);
        }
    }

    #[test]
    fn what_is_torn_or_no_list_is_an_error() {
        for text in [
            "", " ", "null", "{}", "[", "[1", "[1,", "[1,]", "[,]", "[1 2]", "[{}{}]", "[1]]", "[1] x",
            "[{\"a\"]", "[}", "[\"a]",
        ] {
            for piece in [1, 2, 100] {
                assert!(read(text, piece).is_err(), "{text}");
            }
        }
    }

    #[test]
    fn elements_that_are_longer_than_a_piece_come_whole() {
        let long = format!("\"{}\"", "x".repeat(3 * PIECE));
        let text = format!("[{long},{long}]");
        assert_eq!(read(&text, usize::MAX).unwrap(), [long.clone(), long]);
    }

    #[test]
    fn who_takes_elements_can_end_it() {
        let mut seen = 0;
        let stop = |_: &[u8]| {
            seen += 1;
            if seen == 2 { Err(io::Error::other("enough")) } else { Ok(()) }
        };
        let error = each(&b"[1,2,3]"[..], stop).unwrap_err();
        assert_eq!((error.to_string().as_str(), seen), ("enough", 2));
    }
}
