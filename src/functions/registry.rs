//! The tables put together once, and the lookups over them.
//!
//! Each family of functions has its own table beside its code; operators and casts name their
//! function by OID. The maps are built at the first lookup and never change.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::{Cast, CastContext, CastMethod, Function, Operator};
use crate::types::{BaseType, SqlType};

/// An operator as a table has it: its function by OID.
pub(super) struct OperatorEntry {
    pub oid: u32,
    pub name: &'static str,
    pub left: Option<SqlType>,
    pub right: SqlType,
    pub function: u32,
    pub commutator: Option<&'static str>,
    pub negator: Option<&'static str>,
}

/// A cast as a table has it: its function by OID, 0 if binary, [`VIA_TEXT`] if through text.
pub(super) struct CastEntry {
    pub source: SqlType,
    pub target: SqlType,
    pub function: u32,
    pub context: CastContext,
}

/// The function of a [`CastEntry`] that goes through the text form.
pub(super) const VIA_TEXT: u32 = u32::MAX;

/// Every table of functions.
static TABLES: &[&[Function]] = &[
    super::comparison::table::FUNCTIONS,
    super::numbers::table::FUNCTIONS,
    super::strings::table::FUNCTIONS,
    super::aggregates::table::FUNCTIONS,
    super::sets::table::FUNCTIONS,
    super::times::table::FUNCTIONS,
    super::arrays::table::FUNCTIONS,
    super::json::table::FUNCTIONS,
    super::system::table::FUNCTIONS,
    super::picture::table::FUNCTIONS,
];

struct Registry {
    functions: Vec<&'static Function>,
    by_name: HashMap<&'static str, Vec<&'static Function>>,
    by_oid: HashMap<u32, &'static Function>,
    operators: Vec<&'static Operator>,
    operators_by_name: HashMap<&'static str, Vec<&'static Operator>>,
    casts: Vec<&'static Cast>,
    /// All of `casts`, and those that `pg_cast` does not list: through text, and of arrays.
    casts_by_types: HashMap<(BaseType, bool, BaseType, bool), &'static Cast>,
}

fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(Registry::build)
}

impl Registry {
    fn build() -> Registry {
        let functions: Vec<&'static Function> = TABLES.iter().flat_map(|t| t.iter()).collect();
        let by_oid: HashMap<u32, _> = functions.iter().map(|f| (f.oid, *f)).collect();
        let mut by_name: HashMap<_, Vec<_>> = HashMap::new();
        for function in &functions {
            by_name.entry(function.name).or_default().push(*function);
        }
        let operators = build_operators(&by_oid);
        let mut operators_by_name: HashMap<_, Vec<_>> = HashMap::new();
        for operator in &operators {
            operators_by_name.entry(operator.name).or_default().push(*operator);
        }
        let casts = build_casts(&by_oid);
        let casts_by_types = index_casts(&casts);
        Registry { functions, by_name, by_oid, operators, operators_by_name, casts, casts_by_types }
    }
}

/// Operators whose function is there. The list lives as long as the process: leaked once.
fn build_operators(by_oid: &HashMap<u32, &'static Function>) -> Vec<&'static Operator> {
    let entries = super::operators::TABLES.iter().flat_map(|t| t.iter());
    let operators: Vec<Operator> = entries
        .filter_map(|e| {
            Some(Operator {
                oid: e.oid,
                name: e.name,
                left: e.left,
                right: e.right,
                function: by_oid.get(&e.function)?,
                commutator: e.commutator,
                negator: e.negator,
            })
        })
        .collect();
    Box::leak(operators.into_boxed_slice()).iter().collect()
}

fn build_casts(by_oid: &HashMap<u32, &'static Function>) -> Vec<&'static Cast> {
    let casts: Vec<Cast> = super::casts::table::CASTS
        .iter()
        .filter_map(|e| {
            let method = match e.function {
                0 => CastMethod::Binary,
                VIA_TEXT => CastMethod::Text,
                oid => CastMethod::Function(by_oid.get(&oid)?),
            };
            Some(Cast { source: e.source, target: e.target, context: e.context, method })
        })
        .collect();
    Box::leak(casts.into_boxed_slice()).iter().collect()
}

/// The types that casts through text are possible for, unless they are pseudo-types.
const TEXT_CAST_TYPES: &[BaseType] = &[
    BaseType::Bool,
    BaseType::Bytea,
    BaseType::SingleChar,
    BaseType::Name,
    BaseType::Int8,
    BaseType::Int2,
    BaseType::Int2Vector,
    BaseType::Int4,
    BaseType::Regproc,
    BaseType::Text,
    BaseType::Oid,
    BaseType::Xid,
    BaseType::OidVector,
    BaseType::Json,
    BaseType::PgNodeTree,
    BaseType::Float4,
    BaseType::Float8,
    BaseType::AclItem,
    BaseType::Bpchar,
    BaseType::Varchar,
    BaseType::Date,
    BaseType::Time,
    BaseType::Timestamp,
    BaseType::Timestamptz,
    BaseType::Interval,
    BaseType::Numeric,
    BaseType::Regprocedure,
    BaseType::Regoper,
    BaseType::Regclass,
    BaseType::Regtype,
    BaseType::Record,
    BaseType::Uuid,
    BaseType::Jsonb,
    BaseType::Regnamespace,
    BaseType::Regrole,
];

/// The string types, to which everything casts on assignment and which cast to everything.
const STRINGS: &[BaseType] = &[BaseType::Text, BaseType::Varchar, BaseType::Bpchar, BaseType::Name];

fn index_casts(
    casts: &[&'static Cast],
) -> HashMap<(BaseType, bool, BaseType, bool), &'static Cast> {
    let mut map: HashMap<_, &'static Cast> = HashMap::new();
    let key = |s: SqlType, t: SqlType| (s.base, s.is_array, t.base, t.is_array);
    for cast in casts {
        map.insert(key(cast.source, cast.target), *cast);
    }
    let mut derived: Vec<Cast> = Vec::new();
    // Element-wise casts of arrays, as the elements' casts.
    for cast in casts.iter().filter(|c| !c.source.is_array && !c.target.is_array) {
        derived.push(Cast {
            source: SqlType::array_of(cast.source.base),
            target: SqlType::array_of(cast.target.base),
            context: cast.context,
            method: cast.method,
        });
    }
    // The vectors are arrays too, and become others; nothing becomes a vector.
    for (vector, element) in
        [(BaseType::Int2Vector, BaseType::Int2), (BaseType::OidVector, BaseType::Oid)]
    {
        let source = SqlType::of(vector);
        let array = |target| SqlType::array_of(target);
        let same = CastMethod::Binary;
        derived.push(Cast {
            source,
            target: array(element),
            context: CastContext::Implicit,
            method: same,
        });
        for cast in casts.iter().filter(|c| c.source.same(SqlType::of(element))) {
            derived.push(Cast {
                source,
                target: array(cast.target.base),
                context: cast.context,
                method: cast.method,
            });
        }
    }
    let via_text = |source, target, context| Cast { source, target, context, method: TEXT };
    const TEXT: CastMethod = CastMethod::Text;
    for &base in TEXT_CAST_TYPES {
        for &string in STRINGS {
            let (plain, string) = (SqlType::of(base), SqlType::of(string));
            let (array, strings) = (SqlType::array_of(base), SqlType::array_of(string.base));
            for ty in [plain, array] {
                derived.push(via_text(ty, string, CastContext::Assignment));
                derived.push(via_text(string, ty, CastContext::Explicit));
            }
            derived.push(via_text(array, strings, CastContext::Assignment));
            derived.push(via_text(strings, array, CastContext::Explicit));
        }
        for ty in [SqlType::of(base), SqlType::array_of(base)] {
            derived.push(via_text(SqlType::UNKNOWN, ty, CastContext::Implicit));
        }
    }
    let derived: &'static [Cast] = Box::leak(derived.into_boxed_slice());
    for cast in derived.iter().filter(|c| !c.source.same(c.target)) {
        map.entry(key(cast.source, cast.target)).or_insert(cast);
    }
    map
}

/// Functions of that name, of every kind.
pub fn functions_named(name: &str) -> &'static [&'static Function] {
    registry().by_name.get(name).map_or(&[], Vec::as_slice)
}

/// The function with that OID.
pub fn function_by_oid(oid: u32) -> Option<&'static Function> {
    registry().by_oid.get(&oid).copied()
}

/// Operators of that name, prefix ones too.
pub fn operators_named(name: &str) -> &'static [&'static Operator] {
    registry().operators_by_name.get(name).map_or(&[], Vec::as_slice)
}

/// The cast between two different types, modifiers aside: those of `pg_cast`, through text to and
/// from the string types, element-wise between arrays, and from unknown to everything.
pub fn find_cast(source: SqlType, target: SqlType) -> Option<&'static Cast> {
    let key = (source.base, source.is_array, target.base, target.is_array);
    registry().casts_by_types.get(&key).copied()
}

/// Every function, for `pg_proc`.
pub fn all_functions() -> &'static [&'static Function] {
    &registry().functions
}

/// Every operator, for `pg_operator`.
pub fn all_operators() -> &'static [&'static Operator] {
    &registry().operators
}

/// Every cast that `pg_cast` lists.
pub fn all_casts() -> &'static [&'static Cast] {
    &registry().casts
}

/// The function behind `=` of a type: none if the type has no equality (json, xml, point).
pub fn equality(ty: SqlType) -> Option<&'static Function> {
    comparison("=", ty)
}

/// The function behind `<` of a type: none if the type has no order.
pub fn less_than(ty: SqlType) -> Option<&'static Function> {
    comparison("<", ty)
}

fn comparison(name: &str, ty: SqlType) -> Option<&'static Function> {
    let by = match ty {
        SqlType { base: BaseType::Json | BaseType::PgNodeTree, .. } => return None,
        SqlType { is_array: true, .. } => SqlType::of(BaseType::AnyArray),
        SqlType { base, .. } => SqlType::of(match base {
            BaseType::Varchar | BaseType::Unknown => BaseType::Text,
            BaseType::Int2Vector => BaseType::AnyArray,
            BaseType::Regproc
            | BaseType::Regprocedure
            | BaseType::Regoper
            | BaseType::Regclass
            | BaseType::Regtype
            | BaseType::Regnamespace
            | BaseType::Regrole => BaseType::Oid,
            other => other,
        }),
    };
    operators_named(name)
        .iter()
        .find(|o| o.right.same(by) && o.left.is_some_and(|l| l.same(by)))
        .map(|o| o.function)
}
