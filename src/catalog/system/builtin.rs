//! Comments on what is built in, in PostgreSQL's words.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::catalog::descriptor::oids;

/// `oid class comment`
const DESCRIPTIONS: &str = include_str!("descriptions.txt");
/// Schema `public` is built in, but its comment may be changed.
const CHANGEABLE: u32 = oids::PUBLIC;

/// The comments of PostgreSQL 15: object, its catalog's OID, comment.
pub(super) fn all() -> impl Iterator<Item = (u32, u32, &'static str)> {
    let read = |line: &'static str| {
        let mut parts = line.splitn(3, ' ');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?))
    };
    DESCRIPTIONS.lines().filter_map(read).filter(|(object, ..)| *object != CHANGEABLE)
}

/// The comment on a built-in object; without its catalog, that of any object with the OID.
pub fn comment(object: u32, class: Option<u32>) -> Option<&'static str> {
    type Comments = HashMap<u32, Vec<(u32, &'static str)>>;
    static READ: OnceLock<Comments> = OnceLock::new();
    let comments = READ.get_or_init(|| {
        let mut comments = Comments::new();
        for (object, class, comment) in all() {
            comments.entry(object).or_default().push((class, comment));
        }
        comments
    });
    let found = comments.get(&object)?;
    found.iter().find(|(c, _)| class.is_none_or(|class| class == *c)).map(|(_, text)| *text)
}
