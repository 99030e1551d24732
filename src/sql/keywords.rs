//! PostgreSQL 15's keywords with the categories of its grammar (`kwlist.h`, `pg_get_keywords()`).
//!
//! The category says where a word may be a name without quotes; [`Keyword::bare_label`] whether it
//! may be an output name without AS.

/// Where a keyword may stand as a name (manual, appendix C).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Any name.
    Unreserved,
    /// A column or table name, not a function or type name.
    ColumnName,
    /// A function or type name, not a column or table name.
    TypeOrFunction,
    /// Only a label after AS.
    Reserved,
}

macro_rules! category {
    (U) => {
        Category::Unreserved
    };
    (C) => {
        Category::ColumnName
    };
    (T) => {
        Category::TypeOrFunction
    };
    (R) => {
        Category::Reserved
    };
}

macro_rules! bare {
    (bare) => {
        true
    };
    (as) => {
        false
    };
}

macro_rules! keywords {
    ($($variant:ident $word:literal $category:ident $label:tt,)*) => {
        /// A keyword.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        #[expect(missing_docs, reason = "each is the keyword of that name")]
        pub enum Keyword {
            $($variant,)*
        }

        /// Every keyword, ordered by its word.
        pub static KEYWORDS: &[(&str, Keyword, Category, bool)] =
            &[$(($word, Keyword::$variant, category!($category), bare!($label)),)*];
    };
}

keywords! {
    Abort "abort" U bare, Absolute "absolute" U bare, Access "access" U bare,
    Action "action" U bare, Add "add" U bare, Admin "admin" U bare, After "after" U bare,
    Aggregate "aggregate" U bare, All "all" R bare, Also "also" U bare, Alter "alter" U bare,
    Always "always" U bare, Analyse "analyse" R bare, Analyze "analyze" R bare, And "and" R bare,
    Any "any" R bare, Array "array" R as, As "as" R as, Asc "asc" R bare,
    Asensitive "asensitive" U bare, Assertion "assertion" U bare, Assignment "assignment" U bare,
    Asymmetric "asymmetric" R bare, At "at" U bare, Atomic "atomic" U bare, Attach "attach" U bare,
    Attribute "attribute" U bare, Authorization "authorization" T bare, Backward "backward" U bare,
    Before "before" U bare, Begin "begin" U bare, Between "between" C bare, Bigint "bigint" C bare,
    Binary "binary" T bare, Bit "bit" C bare, Boolean "boolean" C bare, Both "both" R bare,
    Breadth "breadth" U bare, By "by" U bare, Cache "cache" U bare, Call "call" U bare,
    Called "called" U bare, Cascade "cascade" U bare, Cascaded "cascaded" U bare,
    Case "case" R bare, Cast "cast" R bare, Catalog "catalog" U bare, Chain "chain" U bare,
    Char "char" C as, Character "character" C as, Characteristics "characteristics" U bare,
    Check "check" R bare, Checkpoint "checkpoint" U bare, Class "class" U bare,
    Close "close" U bare, Cluster "cluster" U bare, Coalesce "coalesce" C bare,
    Collate "collate" R bare, Collation "collation" T bare, Column "column" R bare,
    Columns "columns" U bare, Comment "comment" U bare, Comments "comments" U bare,
    Commit "commit" U bare, Committed "committed" U bare, Compression "compression" U bare,
    Concurrently "concurrently" T bare, Configuration "configuration" U bare,
    Conflict "conflict" U bare, Connection "connection" U bare, Constraint "constraint" R bare,
    Constraints "constraints" U bare, Content "content" U bare, Continue "continue" U bare,
    Conversion "conversion" U bare, Copy "copy" U bare, Cost "cost" U bare, Create "create" R as,
    Cross "cross" T bare, Csv "csv" U bare, Cube "cube" U bare, Current "current" U bare,
    CurrentCatalog "current_catalog" R bare, CurrentDate "current_date" R bare,
    CurrentRole "current_role" R bare, CurrentSchema "current_schema" T bare,
    CurrentTime "current_time" R bare, CurrentTimestamp "current_timestamp" R bare,
    CurrentUser "current_user" R bare, Cursor "cursor" U bare, Cycle "cycle" U bare,
    Data "data" U bare, Database "database" U bare, Day "day" U as, Deallocate "deallocate" U bare,
    Dec "dec" C bare, Decimal "decimal" C bare, Declare "declare" U bare, Default "default" R bare,
    Defaults "defaults" U bare, Deferrable "deferrable" R bare, Deferred "deferred" U bare,
    Definer "definer" U bare, Delete "delete" U bare, Delimiter "delimiter" U bare,
    Delimiters "delimiters" U bare, Depends "depends" U bare, Depth "depth" U bare,
    Desc "desc" R bare, Detach "detach" U bare, Dictionary "dictionary" U bare,
    Disable "disable" U bare, Discard "discard" U bare, Distinct "distinct" R bare, Do "do" R bare,
    Document "document" U bare, Domain "domain" U bare, Double "double" U bare, Drop "drop" U bare,
    Each "each" U bare, Else "else" R bare, Enable "enable" U bare, Encoding "encoding" U bare,
    Encrypted "encrypted" U bare, End "end" R bare, Enum "enum" U bare, Escape "escape" U bare,
    Event "event" U bare, Except "except" R as, Exclude "exclude" U bare,
    Excluding "excluding" U bare, Exclusive "exclusive" U bare, Execute "execute" U bare,
    Exists "exists" C bare, Explain "explain" U bare, Expression "expression" U bare,
    Extension "extension" U bare, External "external" U bare, Extract "extract" C bare,
    False "false" R bare, Family "family" U bare, Fetch "fetch" R as, Filter "filter" U as,
    Finalize "finalize" U bare, First "first" U bare, Float "float" C bare,
    Following "following" U bare, For "for" R as, Force "force" U bare, Foreign "foreign" R bare,
    Forward "forward" U bare, Freeze "freeze" T bare, From "from" R as, Full "full" T bare,
    Function "function" U bare, Functions "functions" U bare, Generated "generated" U bare,
    Global "global" U bare, Grant "grant" R as, Granted "granted" U bare,
    Greatest "greatest" C bare, Group "group" R as, Grouping "grouping" C bare,
    Groups "groups" U bare, Handler "handler" U bare, Having "having" R as, Header "header" U bare,
    Hold "hold" U bare, Hour "hour" U as, Identity "identity" U bare, If "if" U bare,
    Ilike "ilike" T bare, Immediate "immediate" U bare, Immutable "immutable" U bare,
    Implicit "implicit" U bare, Import "import" U bare, In "in" R bare, Include "include" U bare,
    Including "including" U bare, Increment "increment" U bare, Index "index" U bare,
    Indexes "indexes" U bare, Inherit "inherit" U bare, Inherits "inherits" U bare,
    Initially "initially" R bare, Inline "inline" U bare, Inner "inner" T bare,
    Inout "inout" C bare, Input "input" U bare, Insensitive "insensitive" U bare,
    Insert "insert" U bare, Instead "instead" U bare, Int "int" C bare, Integer "integer" C bare,
    Intersect "intersect" R as, Interval "interval" C bare, Into "into" R as,
    Invoker "invoker" U bare, Is "is" T bare, Isnull "isnull" T as, Isolation "isolation" U bare,
    Join "join" T bare, Key "key" U bare, Label "label" U bare, Language "language" U bare,
    Large "large" U bare, Last "last" U bare, Lateral "lateral" R bare, Leading "leading" R bare,
    Leakproof "leakproof" U bare, Least "least" C bare, Left "left" T bare, Level "level" U bare,
    Like "like" T bare, Limit "limit" R as, Listen "listen" U bare, Load "load" U bare,
    Local "local" U bare, Localtime "localtime" R bare, Localtimestamp "localtimestamp" R bare,
    Location "location" U bare, Lock "lock" U bare, Locked "locked" U bare, Logged "logged" U bare,
    Mapping "mapping" U bare, Match "match" U bare, Matched "matched" U bare,
    Materialized "materialized" U bare, Maxvalue "maxvalue" U bare, Merge "merge" U bare,
    Method "method" U bare, Minute "minute" U as, Minvalue "minvalue" U bare, Mode "mode" U bare,
    Month "month" U as, Move "move" U bare, Name "name" U bare, Names "names" U bare,
    National "national" C bare, Natural "natural" T bare, Nchar "nchar" C bare, New "new" U bare,
    Next "next" U bare, Nfc "nfc" U bare, Nfd "nfd" U bare, Nfkc "nfkc" U bare, Nfkd "nfkd" U bare,
    No "no" U bare, None "none" C bare, Normalize "normalize" C bare,
    Normalized "normalized" U bare, Not "not" R bare, Nothing "nothing" U bare,
    Notify "notify" U bare, Notnull "notnull" T as, Nowait "nowait" U bare, Null "null" R bare,
    Nullif "nullif" C bare, Nulls "nulls" U bare, Numeric "numeric" C bare, Object "object" U bare,
    Of "of" U bare, Off "off" U bare, Offset "offset" R as, Oids "oids" U bare, Old "old" U bare,
    On "on" R as, Only "only" R bare, Operator "operator" U bare, Option "option" U bare,
    Options "options" U bare, Or "or" R bare, Order "order" R as, Ordinality "ordinality" U bare,
    Others "others" U bare, Out "out" C bare, Outer "outer" T bare, Over "over" U as,
    Overlaps "overlaps" T as, Overlay "overlay" C bare, Overriding "overriding" U bare,
    Owned "owned" U bare, Owner "owner" U bare, Parallel "parallel" U bare,
    Parameter "parameter" U bare, Parser "parser" U bare, Partial "partial" U bare,
    Partition "partition" U bare, Passing "passing" U bare, Password "password" U bare,
    Placing "placing" R bare, Plans "plans" U bare, Policy "policy" U bare,
    Position "position" C bare, Preceding "preceding" U bare, Precision "precision" C as,
    Prepare "prepare" U bare, Prepared "prepared" U bare, Preserve "preserve" U bare,
    Primary "primary" R bare, Prior "prior" U bare, Privileges "privileges" U bare,
    Procedural "procedural" U bare, Procedure "procedure" U bare, Procedures "procedures" U bare,
    Program "program" U bare, Publication "publication" U bare, Quote "quote" U bare,
    Range "range" U bare, Read "read" U bare, Real "real" C bare, Reassign "reassign" U bare,
    Recheck "recheck" U bare, Recursive "recursive" U bare, Ref "ref" U bare,
    References "references" R bare, Referencing "referencing" U bare, Refresh "refresh" U bare,
    Reindex "reindex" U bare, Relative "relative" U bare, Release "release" U bare,
    Rename "rename" U bare, Repeatable "repeatable" U bare, Replace "replace" U bare,
    Replica "replica" U bare, Reset "reset" U bare, Restart "restart" U bare,
    Restrict "restrict" U bare, Return "return" U bare, Returning "returning" R as,
    Returns "returns" U bare, Revoke "revoke" U bare, Right "right" T bare, Role "role" U bare,
    Rollback "rollback" U bare, Rollup "rollup" U bare, Routine "routine" U bare,
    Routines "routines" U bare, Row "row" C bare, Rows "rows" U bare, Rule "rule" U bare,
    Savepoint "savepoint" U bare, Schema "schema" U bare, Schemas "schemas" U bare,
    Scroll "scroll" U bare, Search "search" U bare, Second "second" U as,
    Security "security" U bare, Select "select" R bare, Sequence "sequence" U bare,
    Sequences "sequences" U bare, Serializable "serializable" U bare, Server "server" U bare,
    Session "session" U bare, SessionUser "session_user" R bare, Set "set" U bare,
    Setof "setof" C bare, Sets "sets" U bare, Share "share" U bare, Show "show" U bare,
    Similar "similar" T bare, Simple "simple" U bare, Skip "skip" U bare,
    Smallint "smallint" C bare, Snapshot "snapshot" U bare, Some "some" R bare, Sql "sql" U bare,
    Stable "stable" U bare, Standalone "standalone" U bare, Start "start" U bare,
    Statement "statement" U bare, Statistics "statistics" U bare, Stdin "stdin" U bare,
    Stdout "stdout" U bare, Storage "storage" U bare, Stored "stored" U bare,
    Strict "strict" U bare, Strip "strip" U bare, Subscription "subscription" U bare,
    Substring "substring" C bare, Support "support" U bare, Symmetric "symmetric" R bare,
    Sysid "sysid" U bare, System "system" U bare, Table "table" R bare, Tables "tables" U bare,
    Tablesample "tablesample" T bare, Tablespace "tablespace" U bare, Temp "temp" U bare,
    Template "template" U bare, Temporary "temporary" U bare, Text "text" U bare,
    Then "then" R bare, Ties "ties" U bare, Time "time" C bare, Timestamp "timestamp" C bare,
    To "to" R as, Trailing "trailing" R bare, Transaction "transaction" U bare,
    Transform "transform" U bare, Treat "treat" C bare, Trigger "trigger" U bare,
    Trim "trim" C bare, True "true" R bare, Truncate "truncate" U bare, Trusted "trusted" U bare,
    Type "type" U bare, Types "types" U bare, Uescape "uescape" U bare,
    Unbounded "unbounded" U bare, Uncommitted "uncommitted" U bare,
    Unencrypted "unencrypted" U bare, Union "union" R as, Unique "unique" R bare,
    Unknown "unknown" U bare, Unlisten "unlisten" U bare, Unlogged "unlogged" U bare,
    Until "until" U bare, Update "update" U bare, User "user" R bare, Using "using" R bare,
    Vacuum "vacuum" U bare, Valid "valid" U bare, Validate "validate" U bare,
    Validator "validator" U bare, Value "value" U bare, Values "values" C bare,
    Varchar "varchar" C bare, Variadic "variadic" R bare, Varying "varying" U as,
    Verbose "verbose" T bare, Version "version" U bare, View "view" U bare, Views "views" U bare,
    Volatile "volatile" U bare, When "when" R bare, Where "where" R as,
    Whitespace "whitespace" U bare, Window "window" R as, With "with" R as, Within "within" U as,
    Without "without" U as, Work "work" U bare, Wrapper "wrapper" U bare, Write "write" U bare,
    Xml "xml" U bare, Xmlattributes "xmlattributes" C bare, Xmlconcat "xmlconcat" C bare,
    Xmlelement "xmlelement" C bare, Xmlexists "xmlexists" C bare, Xmlforest "xmlforest" C bare,
    Xmlnamespaces "xmlnamespaces" C bare, Xmlparse "xmlparse" C bare, Xmlpi "xmlpi" C bare,
    Xmlroot "xmlroot" C bare, Xmlserialize "xmlserialize" C bare, Xmltable "xmltable" C bare,
    Year "year" U as, Yes "yes" U bare, Zone "zone" U bare,
}

/// The longest keyword's length, so that long names are not looked up.
const KEYWORD_LENGTH_MAX: usize = 17;

impl Keyword {
    /// The keyword that `word` is, in any case.
    pub fn find(word: &str) -> Option<Keyword> {
        if word.len() > KEYWORD_LENGTH_MAX {
            return None;
        }
        let mut folded = [0u8; KEYWORD_LENGTH_MAX];
        let folded = &mut folded[..word.len()];
        for (to, from) in folded.iter_mut().zip(word.bytes()) {
            *to = from.to_ascii_lowercase();
        }
        let found = KEYWORDS.binary_search_by(|(word, ..)| word.as_bytes().cmp(folded)).ok()?;
        Some(KEYWORDS[found].1)
    }

    /// The word, in lower case.
    pub fn word(self) -> &'static str {
        KEYWORDS[self as usize].0
    }

    /// Where it may stand as a name.
    pub fn category(self) -> Category {
        KEYWORDS[self as usize].2
    }

    /// Whether it may be an output name without AS.
    pub fn bare_label(self) -> bool {
        KEYWORDS[self as usize].3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_keyword_is_found_by_its_word() {
        for (word, keyword, ..) in KEYWORDS {
            assert!(word.len() <= KEYWORD_LENGTH_MAX, "{word}");
            assert_eq!(Keyword::find(word), Some(*keyword));
            assert_eq!(Keyword::find(&word.to_uppercase()), Some(*keyword));
            assert_eq!(keyword.word(), *word);
        }
        assert_eq!(Keyword::find("pgbench_accounts"), None);
        assert_eq!(Keyword::find(""), None);
    }
}
