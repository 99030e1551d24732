//! The names PostgreSQL makes up for keys, indexes and CHECK constraints.

use crate::types::NAME_BYTES_MAX;

/// `table_column_label`, each part cut so that the whole fits: the longer one first.
pub fn object_name(table: &str, column: &str, label: &str) -> String {
    let overhead = label.len() + 1 + usize::from(!column.is_empty());
    let room = NAME_BYTES_MAX.saturating_sub(overhead);
    let (mut first, mut second) = (table.len(), column.len());
    while first + second > room {
        if first > second {
            first -= 1;
        } else {
            second -= 1;
        }
    }
    let (table, column) = (clip(table, first), clip(column, second));
    if column.is_empty() { format!("{table}_{label}") } else { format!("{table}_{column}_{label}") }
}

/// The columns' part of an index name: all of them, as far as they fit.
pub fn column_part<'a>(columns: impl Iterator<Item = &'a str>) -> String {
    let mut part = String::new();
    for column in columns {
        if !part.is_empty() {
            part.push('_');
        }
        part.push_str(clip(column, NAME_BYTES_MAX));
        if part.len() > NAME_BYTES_MAX {
            break;
        }
    }
    part
}

/// The first of `name`, `name1`, `name2`, … that is free.
pub fn choose(table: &str, column: &str, label: &str, taken: impl Fn(&str) -> bool) -> String {
    let mut name = object_name(table, column, label);
    let mut pass = 0;
    while taken(&name) {
        pass += 1;
        name = object_name(table, column, &format!("{label}{pass}"));
    }
    name
}

/// At most `bytes` bytes of a text, whole characters only.
fn clip(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_postgresql_s() {
        assert_eq!(object_name("t", "", "pkey"), "t_pkey");
        assert_eq!(object_name("t", "a_b", "key"), "t_a_b_key");
        let long = "t".repeat(63);
        assert_eq!(object_name(&long, "", "pkey"), format!("{}_pkey", "t".repeat(58)));
        assert_eq!(object_name(&long, "column", "key"), format!("{}_column_key", "t".repeat(52)));
        let part = column_part(["a", "b", "a"].into_iter());
        assert_eq!(part, "a_b_a");
        let taken = |name: &str| name == "t_a_key" || name == "t_a_key1";
        assert_eq!(choose("t", "a", "key", taken), "t_a_key2");
        assert_eq!(object_name(&"ü".repeat(31), "", "pkey"), format!("{}_pkey", "ü".repeat(29)));
    }
}
