//! Which of several functions or operators of one name is meant (manual, 10.2 and 10.3).

use smallvec::SmallVec;

use super::coerce::can_coerce;
use super::generic;
use crate::functions::{CastContext, Function};
use crate::types::{BaseType, SqlType};

/// Types of arguments; few calls have more.
pub(super) type Types = SmallVec<[SqlType; 4]>;

/// A function or operator that could be meant, and the types it would take.
#[derive(Clone)]
pub(super) struct Candidate<T> {
    /// Which.
    pub item: T,
    /// One declared type for each argument of the call.
    pub types: Types,
}

/// The outcome of a choice.
pub(super) enum Choice<T> {
    /// One.
    One(T),
    /// None fits.
    None,
    /// Several fit, none better.
    Several,
}

/// The candidates that a call with `count` arguments has among functions of one name.
pub(super) fn candidates(
    functions: &'static [&'static Function],
    count: usize,
) -> SmallVec<[Candidate<&'static Function>; 4]> {
    let mut found: SmallVec<[Candidate<&'static Function>; 4]> = SmallVec::new();
    for &function in functions {
        let declared = function.args;
        let types: Types = if declared.len() == count {
            declared.iter().copied().collect()
        } else if count < declared.len() && count + function.defaults >= declared.len() {
            declared[..count].iter().copied().collect()
        } else {
            continue;
        };
        if !function.variadic {
            found.push(Candidate { item: function, types });
        } else {
            continue;
        }
    }
    for &function in functions.iter().filter(|f| f.variadic) {
        let fixed = function.args.len() - 1;
        if count < fixed + 1 {
            // `concat()`-like calls need at least one value in the variadic place.
            continue;
        }
        let last = function.args[fixed];
        let element = variadic_element(last);
        let mut types: Types = function.args[..fixed].iter().copied().collect();
        types.resize(count, element);
        if !found.iter().any(|c| same_types(&c.types, &types)) {
            found.push(Candidate { item: function, types });
        }
    }
    found
}

/// The type of one value of a variadic parameter.
pub(super) fn variadic_element(parameter: SqlType) -> SqlType {
    match parameter.base {
        BaseType::AnyArray => SqlType::of(BaseType::AnyElement),
        BaseType::AnyCompatibleArray => SqlType::of(BaseType::AnyCompatible),
        _ if parameter.is_array => parameter.element(),
        _ => parameter,
    }
}

fn same_types(a: &[SqlType], b: &[SqlType]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(*b))
}

/// The candidate that takes exactly these types.
pub(super) fn exact<T: Copy>(candidates: &[Candidate<T>], actual: &[SqlType]) -> Option<T> {
    candidates.iter().find(|c| same_types(&c.types, actual)).map(|c| c.item)
}

/// The best of the candidates that these arguments can be coerced to.
pub(super) fn choose<T: Copy>(
    candidates: impl IntoIterator<Item = Candidate<T>>,
    actual: &[SqlType],
) -> Choice<(T, Types)> {
    let mut fitting: SmallVec<[Candidate<T>; 8]> =
        candidates.into_iter().filter(|c| accepts(&c.types, actual)).collect();
    match fitting.len() {
        0 => return Choice::None,
        1 => return only(fitting),
        _ => {}
    }
    keep_best(&mut fitting, |c| exact_matches(&c.types, actual));
    if fitting.len() == 1 {
        return only(fitting);
    }
    keep_best(&mut fitting, |c| preferred_matches(&c.types, actual));
    if fitting.len() == 1 {
        return only(fitting);
    }
    if actual.iter().any(|ty| ty.same(SqlType::UNKNOWN)) {
        resolve_unknown(&mut fitting, actual);
        if fitting.len() == 1 {
            return only(fitting);
        }
        if let Some(chosen) = assume_alike(&fitting, actual) {
            return Choice::One((chosen.item, chosen.types.clone()));
        }
    }
    Choice::Several
}

fn only<T: Copy>(mut fitting: SmallVec<[Candidate<T>; 8]>) -> Choice<(T, Types)> {
    match fitting.pop() {
        Some(candidate) => Choice::One((candidate.item, candidate.types)),
        None => Choice::None,
    }
}

/// Whether arguments can be given to parameters without being cast explicitly.
fn accepts(declared: &[SqlType], actual: &[SqlType]) -> bool {
    let mut polymorphic = false;
    for (declared, actual) in declared.iter().zip(actual) {
        if generic::is_polymorphic(*declared) {
            polymorphic = true;
        } else if !can_coerce(*actual, *declared, CastContext::Implicit) {
            return false;
        }
    }
    !polymorphic || generic::fits_loosely(declared, actual)
}

fn keep_best<T>(
    candidates: &mut SmallVec<[Candidate<T>; 8]>,
    score: impl Fn(&Candidate<T>) -> usize,
) {
    let best = candidates.iter().map(&score).max().unwrap_or(0);
    candidates.retain(|c| score(c) == best);
}

fn exact_matches(declared: &[SqlType], actual: &[SqlType]) -> usize {
    let pairs = declared.iter().zip(actual);
    pairs.filter(|(d, a)| !a.same(SqlType::UNKNOWN) && d.same(**a)).count()
}

fn preferred_matches(declared: &[SqlType], actual: &[SqlType]) -> usize {
    let pairs = declared.iter().zip(actual);
    pairs
        .filter(|(d, a)| {
            !a.same(SqlType::UNKNOWN)
                && (d.same(**a) || (d.category() == a.category() && d.is_preferred()))
        })
        .count()
}

/// Unknown arguments take the category that the candidates agree on, strings before all.
fn resolve_unknown<T>(candidates: &mut SmallVec<[Candidate<T>; 8]>, actual: &[SqlType]) {
    let mut wanted: SmallVec<[Option<(char, bool)>; 4]> = SmallVec::new();
    for (i, ty) in actual.iter().enumerate() {
        if !ty.same(SqlType::UNKNOWN) {
            wanted.push(None);
            continue;
        }
        let mut slot: Option<(char, bool)> = None;
        let mut conflict = false;
        for candidate in candidates.iter() {
            let ty = candidate.types[i];
            let (category, preferred) = (ty.category(), ty.is_preferred());
            match &mut slot {
                None => slot = Some((category, preferred)),
                Some((seen, any)) if *seen == category => *any |= preferred,
                Some(seen) if category == 'S' => *seen = ('S', preferred),
                Some(_) => conflict = true,
            }
        }
        if conflict && slot.is_none_or(|(category, _)| category != 'S') {
            return;
        }
        wanted.push(slot);
    }
    let keeps = |candidate: &Candidate<T>| {
        candidate.types.iter().zip(&wanted).all(|(ty, wanted)| match wanted {
            Some((category, preferred)) => {
                ty.category() == *category && (!preferred || ty.is_preferred())
            }
            None => true,
        })
    };
    if candidates.iter().any(keeps) {
        candidates.retain(|c| keeps(c));
    }
}

/// If all known arguments have one type, the candidate that takes the unknown ones as that too.
fn assume_alike<'c, T>(
    candidates: &'c [Candidate<T>],
    actual: &[SqlType],
) -> Option<&'c Candidate<T>> {
    let mut known = actual.iter().filter(|ty| !ty.same(SqlType::UNKNOWN));
    let first = *known.next()?;
    if known.any(|ty| !ty.same(first)) {
        return None;
    }
    let assumed: Types = actual.iter().map(|_| first).collect();
    let mut fitting = candidates.iter().filter(|c| accepts(&c.types, &assumed));
    let one = fitting.next()?;
    fitting.next().is_none().then_some(one)
}
