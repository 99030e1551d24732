//! `columnar = on | off`, of a table.

use crate::error::{Error, Result, SqlState};
use crate::sql::ddl::{OptionValue, StorageOption};

/// What `columnar` is set to. 22023 for what is no Boolean.
pub(super) fn columnar_option(option: &StorageOption) -> Result<bool> {
    let on = boolean(option)?;
    if on {
        // Views are made and read by `columnar`, but no session asks it for them: a table would
        // gather changes that nothing takes away.
        return Err(Error::unsupported("columnar = on")
            .with_hint("Tables are served from rows; leave the option out."));
    }
    Ok(on)
}

fn boolean(option: &StorageOption) -> Result<bool> {
    let word = match &option.value {
        OptionValue::None => return Ok(true),
        OptionValue::Word(word) => word.to_ascii_lowercase(),
        OptionValue::Names(names) => names.join(","),
    };
    match word.as_str() {
        "on" | "true" | "yes" | "1" | "t" | "y" => Ok(true),
        "off" | "false" | "no" | "0" | "f" | "n" => Ok(false),
        _ => Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("invalid value for boolean option \"{}\": {word}", option.name),
        )),
    }
}
