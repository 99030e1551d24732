//! Regular expressions: PostgreSQL's syntax and its choice of match, on the `regex` engine.
//!
//! PostgreSQL takes the leftmost match and of those the longest (or shortest, if the first
//! quantifier is lazy); the engine takes the first by the order of alternatives. Both agree on
//! where a match begins. Where they can differ on its end, a DFA that follows all alternatives
//! finds the longest or shortest end, and the groups are then taken within exactly that span.

mod functions;
mod set;
mod sets;
mod translate;

use std::cell::RefCell;
use std::sync::{Arc, OnceLock};

use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::util::captures::Captures;
use regex_automata::util::pool::Pool;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, MatchKind, meta, nfa::thompson};

use crate::error::{Error, Result, SqlState};

pub(super) use functions::*;
pub(in crate::functions) use sets::*;
use translate::{Options, invalid, translate};

/// Bytes that a compiled expression may take.
const COMPILED_BYTES_MAX: usize = 16 << 20;
/// Compiled expressions that each thread keeps.
const CACHED_MAX: usize = 32;

/// Where a match and its groups lie, in bytes; the whole match is group 0.
pub(super) type Groups = Vec<Option<(usize, usize)>>;

type CachePool = Pool<
    Cache,
    Box<dyn Fn() -> Cache + Send + Sync + std::panic::UnwindSafe + std::panic::RefUnwindSafe>,
>;

/// A compiled expression.
pub(super) struct Regex {
    engine: meta::Regex,
    pattern: String,
    shortest: bool,
    ambiguous: bool,
    all: OnceLock<Option<(Arc<DFA>, CachePool)>>,
    whole: OnceLock<Option<meta::Regex>>,
}

#[cold]
fn too_complex() -> Error {
    Error::new(
        SqlState::INVALID_REGULAR_EXPRESSION,
        "invalid regular expression: regular expression is too complex",
    )
}

fn build(pattern: &str) -> Result<meta::Regex> {
    let config = meta::Config::new().nfa_size_limit(Some(COMPILED_BYTES_MAX));
    meta::Builder::new()
        .configure(config)
        .syntax(syntax::Config::new().utf8(false))
        .build(pattern)
        .map_err(|e| match e.size_limit() {
            Some(_) => too_complex(),
            None => invalid("internal error").with_source(e),
        })
}

impl Regex {
    fn new(pattern: &str, options: Options) -> Result<Regex> {
        let translated = translate(pattern, options)?;
        Ok(Regex {
            engine: build(&translated.pattern)?,
            pattern: translated.pattern,
            shortest: translated.shortest,
            ambiguous: translated.ambiguous,
            all: OnceLock::new(),
            whole: OnceLock::new(),
        })
    }

    /// How many groups there are, beside the whole match.
    fn group_count(&self) -> usize {
        self.engine.captures_len() - 1
    }

    /// Whether there is a match.
    pub fn is_match(&self, text: &str) -> bool {
        self.engine.is_match(text)
    }

    /// The first match that begins at or after `from`.
    pub fn find_at(&self, text: &str, from: usize) -> Result<Option<Groups>> {
        let Some(found) = self.engine.find(Input::new(text).range(from..)) else {
            return Ok(None);
        };
        let begin = found.start();
        let end = match self.ambiguous {
            true => self.wanted_end(text, begin)?,
            false => found.end(),
        };
        if self.group_count() == 0 {
            return Ok(Some(vec![Some((begin, end))]));
        }
        let mut captures: Captures = self.engine.create_captures();
        let input = Input::new(text).range(begin..).anchored(Anchored::Yes);
        self.engine.captures(input, &mut captures);
        if captures.get_match().is_none_or(|m| m.end() != end) {
            // Another way to match wins here: the one that ends where the text is cut.
            let whole = self.whole.get_or_init(|| build(&format!("(?:{})\\z", self.pattern)).ok());
            let whole = whole.as_ref().ok_or_else(too_complex)?;
            let input = Input::new(&text[..end]).range(begin..).anchored(Anchored::Yes);
            whole.captures(input, &mut captures);
        }
        let mut groups: Groups = captures.iter().map(|g| g.map(|g| (g.start, g.end))).collect();
        groups[0] = Some((begin, end));
        Ok(Some(groups))
    }

    /// Where the longest or shortest match that begins at `begin` ends.
    fn wanted_end(&self, text: &str, begin: usize) -> Result<usize> {
        let built = self.all.get_or_init(|| {
            let dfa = DFA::builder()
                .configure(DFA::config().match_kind(MatchKind::All).skip_cache_capacity_check(true))
                .syntax(syntax::Config::new().utf8(false))
                .thompson(thompson::Config::new().nfa_size_limit(Some(COMPILED_BYTES_MAX)))
                .build(&self.pattern)
                .ok()?;
            let dfa = Arc::new(dfa);
            let maker = dfa.clone();
            Some((dfa, Pool::new(Box::new(move || maker.create_cache()) as Box<_>)))
        });
        let (dfa, pool) = built.as_ref().ok_or_else(too_complex)?;
        let input = Input::new(text).range(begin..).anchored(Anchored::Yes).earliest(self.shortest);
        let found = dfa.try_search_fwd(&mut pool.get(), &input).map_err(|_| too_complex())?;
        Ok(found.map_or(begin, |half| half.offset()))
    }
}

/// The compiled form of a pattern, from this thread's cache if it is there.
fn compile(pattern: &str, options: Options) -> Result<Arc<Regex>> {
    type Entry = (String, Options, Arc<Regex>);
    thread_local! {
        static CACHE: RefCell<Vec<Entry>> = const { RefCell::new(Vec::new()) };
    }
    let options = Options { global: false, ..options };
    CACHE.with_borrow_mut(|cache| {
        let found = cache.iter().position(|(p, o, _)| p == pattern && *o == options);
        if let Some(i) = found {
            // The last used stand first.
            cache[..=i].rotate_right(1);
            return Ok(cache[0].2.clone());
        }
        let regex = Arc::new(Regex::new(pattern, options)?);
        cache.truncate(CACHED_MAX - 1);
        cache.insert(0, (pattern.to_owned(), options, regex.clone()));
        Ok(regex)
    })
}
