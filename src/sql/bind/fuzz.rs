//! Broken statements against parser and binder: each is answered, none panics.
//!
//! The statements of the binder's own cases are mutated under a seed: tokens left out, doubled,
//! swapped, and taken from other statements; bytes changed. `SLUICE_FUZZ_SECONDS` sets for how
//! long, `SLUICE_FUZZ_SEED` where to begin.

use std::time::Duration;

use super::Binder;
use super::tests::{TestTables, context};
use crate::clock::{Clock, SimulatedClock, SystemClock};

/// How long by default.
const SECONDS: u64 = 2;

/// Bytes of stack: in a debug build, for statements as deep as the parser lets through.
const STACK_BYTES: usize = 512 << 20;

const CORPUS: [&str; 8] = [
    include_str!("../../../tests/scripts/binder/names.txt"),
    include_str!("../../../tests/scripts/binder/types.txt"),
    include_str!("../../../tests/scripts/binder/group.txt"),
    include_str!("../../../tests/scripts/binder/window.txt"),
    include_str!("../../../tests/scripts/binder/setops.txt"),
    include_str!("../../../tests/scripts/binder/subquery.txt"),
    include_str!("../../../tests/scripts/binder/cte.txt"),
    include_str!("../../../tests/scripts/binder/syntax.txt"),
];

const MORE: [&str; 6] = [
    "WITH d AS (DELETE FROM t1 RETURNING *) INSERT INTO t1 SELECT * FROM d ON CONFLICT DO NOTHING",
    "UPDATE t1 SET (a, b) = (SELECT 1, 'x') FROM t2 WHERE t1.a = t2.a RETURNING t1.*, t2",
    "DECLARE c NO SCROLL CURSOR WITH HOLD FOR SELECT * FROM t1 FOR UPDATE OF t1 NOWAIT",
    "FETCH ABSOLUTE -5 FROM c; MOVE BACKWARD ALL IN c; CLOSE ALL",
    "CREATE TABLE x (a int PRIMARY KEY, b text DEFAULT 'q' CHECK (b <> ''), UNIQUE (a, b))",
    "DELETE FROM t1 USING t2 WHERE CURRENT OF c RETURNING *",
];

struct Random(SimulatedClock);

impl Random {
    fn below(&self, bound: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.random(&mut bytes);
        (u64::from_le_bytes(bytes) % bound.max(1) as u64) as usize
    }

    fn pick<'t>(&self, list: &'t [Vec<String>]) -> &'t [String] {
        &list[self.below(list.len())]
    }
}

fn tokens(sql: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut word = false;
    for c in sql.chars() {
        let part = c.is_alphanumeric() || c == '_';
        match out.last_mut() {
            Some(last) if part && word => last.push(c),
            _ => out.push(c.to_string()),
        }
        word = part;
    }
    out
}

fn mutated(corpus: &[Vec<String>], random: &Random) -> String {
    let mut tokens = random.pick(corpus).to_vec();
    for _ in 0..=random.below(4) {
        let len = tokens.len().max(1);
        let (at, other) = (random.below(len), random.below(len));
        match random.below(6) {
            0 => drop(tokens.drain(at.min(other)..at.max(other).min(at.min(other) + 4))),
            1 => tokens.swap(at, other),
            2 => {
                let piece = random.pick(corpus);
                let from = random.below(piece.len());
                let to = (from + 1 + random.below(8)).min(piece.len());
                tokens.splice(at..at, piece[from..to].iter().cloned());
            }
            3 => {
                let again = tokens[at.min(other)..at.max(other)].to_vec();
                tokens.splice(at..at, again);
            }
            4 => {
                tokens[at] = ["(", ")", "'", "\"", "$1", "*", "NULL", "É", ";", "1e400"]
                    [random.below(10)]
                .to_owned()
            }
            _ => {
                let subquery = random.pick(corpus).concat();
                tokens[at] = format!(" ({subquery}) ");
            }
        }
        if tokens.is_empty() {
            break;
        }
    }
    tokens.concat()
}

fn statements() -> Vec<Vec<String>> {
    let cases = CORPUS.iter().flat_map(|text| text.split("\n\n")).map(|block| {
        let lines: Vec<&str> = block.lines().filter_map(|l| l.strip_prefix("> ")).collect();
        lines.join("\n")
    });
    let all = cases.chain(MORE.iter().map(|sql| (*sql).to_owned()));
    all.map(|sql| tokens(&sql)).filter(|tokens| !tokens.is_empty()).collect()
}

fn run(seconds: u64, seed: u64) {
    let random = Random(SimulatedClock::new(0, seed));
    let corpus = statements();
    let (tables, context) = (TestTables::new(), context());
    let clock = SystemClock::new();
    let begun = clock.monotonic();
    let mut count = 0;
    while clock.monotonic() - begun < Duration::from_secs(seconds) {
        let sql = mutated(&corpus, &random);
        for statement in crate::sql::parse(&sql).unwrap_or_default() {
            let mut binder = Binder::new(&tables, &context, statement.text.clone(), Vec::new());
            match &statement.kind {
                crate::sql::StatementKind::Declare(declare) => drop(binder.bind_declare(declare)),
                kind => drop(binder.bind_statement(kind)),
            }
        }
        count += 1;
    }
    assert!(count > 10, "only {count} statements in {seconds} s");
}

#[test]
fn broken_statements_are_answered() {
    let given = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
    };
    let seconds = given("SLUICE_FUZZ_SECONDS", SECONDS);
    let seed = given("SLUICE_FUZZ_SEED", 1);
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    thread.spawn(move || run(seconds, seed)).unwrap().join().unwrap();
}
