//! `--format`: text or JSON. Whoever comes from docker types a template, and is told what there is instead.

use super::Format;
use clap::builder::{EnumValueParser, PossibleValue, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, Command, Error};
use std::ffi::OsStr;

/// The words of [`Format`], with an error of its own for templates.
#[derive(Debug, Clone, Copy)]
pub(super) struct NoTemplate;

impl TypedValueParser for NoTemplate {
    type Value = Format;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<Format, Error> {
        let text = value.to_string_lossy();
        if !text.contains("{{") {
            return EnumValueParser::<Format>::new().parse_ref(command, arg, value);
        }
        let message = format!(
            "invalid value '{text}' for '--format <FORMAT>': docker's templates are not read; write json, which has every field (jq \
             picks from it), or table\n"
        );
        Err(Error::raw(ErrorKind::InvalidValue, message).with_cmd(command))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        // Those of the words; they are the same for every parser.
        let values: Vec<PossibleValue> = EnumValueParser::<Format>::new().possible_values()?.collect();
        Some(Box::new(values.into_iter()))
    }
}
