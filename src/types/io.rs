//! Text and binary forms of values.

/// Settings that steer text forms.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FormatSettings {}
