//! `columnar = on | off`, of a table.

use super::Runner;
use super::create::TableOptions;
use crate::error::{Error, Result, SqlState};
use crate::sql::ddl::{OptionValue, StorageOption};

impl Runner<'_> {
    /// 0A000 where a table is to have a view and the server keeps none.
    pub(super) fn check_views(&self, options: &TableOptions) -> Result<()> {
        if options.columnar == Some(true) && !self.views {
            // The table would gather changes that nothing takes away.
            return Err(Error::unsupported("columnar = on")
                .with_hint("This server keeps no columnar views; leave the option out."));
        }
        Ok(())
    }
}

/// What `columnar` is set to. 22023 for what is no Boolean.
pub(super) fn columnar_option(option: &StorageOption) -> Result<bool> {
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
