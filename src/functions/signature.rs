//! How the tables are written: a constructor for each kind of function, types by short names.

use super::{AggregateFn, Function, FunctionKind, ScalarFn, SetFn, TypedFn, Volatility, WindowFn};
use crate::types::SqlType;

/// A strict, immutable scalar function.
pub(super) const fn scalar(
    oid: u32,
    name: &'static str,
    args: &'static [SqlType],
    result: SqlType,
    code: ScalarFn,
) -> Function {
    function(oid, name, args, result, FunctionKind::Scalar(code))
}

/// A set-returning function; `columns` names its output columns if they are not one of its name.
pub(super) const fn set(
    oid: u32,
    name: &'static str,
    args: &'static [SqlType],
    result: SqlType,
    code: SetFn,
    columns: &'static [(&'static str, SqlType)],
) -> Function {
    function(oid, name, args, result, FunctionKind::Set(code, columns))
}

/// An aggregate; it is given NULLs and skips those it must.
pub(super) const fn aggregate(
    oid: u32,
    name: &'static str,
    args: &'static [SqlType],
    result: SqlType,
    code: AggregateFn,
) -> Function {
    function(oid, name, args, result, FunctionKind::Aggregate(code)).nullable()
}

/// A window function.
pub(super) const fn window(
    oid: u32,
    name: &'static str,
    args: &'static [SqlType],
    result: SqlType,
    code: WindowFn,
) -> Function {
    function(oid, name, args, result, FunctionKind::Window(code))
}

/// A strict, stable scalar function that is told its arguments' types.
pub(super) const fn typed(
    oid: u32,
    name: &'static str,
    args: &'static [SqlType],
    result: SqlType,
    code: TypedFn,
) -> Function {
    function(oid, name, args, result, FunctionKind::Typed(code)).stable()
}

/// A strict, immutable function of any kind.
const fn function(
    oid: u32,
    name: &'static str,
    args: &'static [SqlType],
    result: SqlType,
    kind: FunctionKind,
) -> Function {
    Function {
        oid,
        name,
        args,
        variadic: false,
        defaults: 0,
        result,
        strict: true,
        volatility: Volatility::Immutable,
        waits: false,
        kind,
    }
}

impl Function {
    /// The code is called with NULLs too.
    pub(super) const fn nullable(mut self) -> Function {
        self.strict = false;
        self
    }

    pub(super) const fn immutable(mut self) -> Function {
        self.volatility = Volatility::Immutable;
        self
    }

    pub(super) const fn stable(mut self) -> Function {
        self.volatility = Volatility::Stable;
        self
    }

    pub(super) const fn volatile(mut self) -> Function {
        self.volatility = Volatility::Volatile;
        self
    }

    /// Volatile, and may wait.
    pub(super) const fn waits(mut self) -> Function {
        self.waits = true;
        self.volatile()
    }

    pub(super) const fn variadic(mut self) -> Function {
        self.variadic = true;
        self
    }

    pub(super) const fn defaults(mut self, count: usize) -> Function {
        self.defaults = count;
        self
    }
}

/// Types by PostgreSQL's names.
pub(super) mod types {
    use crate::types::{BaseType, SqlType};

    pub const BOOL: SqlType = SqlType::of(BaseType::Bool);
    pub const BYTEA: SqlType = SqlType::of(BaseType::Bytea);
    pub const NAME: SqlType = SqlType::of(BaseType::Name);
    pub const INT8: SqlType = SqlType::of(BaseType::Int8);
    pub const INT2: SqlType = SqlType::of(BaseType::Int2);
    pub const INT4: SqlType = SqlType::of(BaseType::Int4);
    pub const REGPROC: SqlType = SqlType::of(BaseType::Regproc);
    pub const TEXT: SqlType = SqlType::of(BaseType::Text);
    pub const OID: SqlType = SqlType::of(BaseType::Oid);
    pub const XID: SqlType = SqlType::of(BaseType::Xid);
    pub const OIDVECTOR: SqlType = SqlType::of(BaseType::OidVector);
    pub const JSON: SqlType = SqlType::of(BaseType::Json);
    pub const PG_NODE_TREE: SqlType = SqlType::of(BaseType::PgNodeTree);
    pub const FLOAT4: SqlType = SqlType::of(BaseType::Float4);
    pub const FLOAT8: SqlType = SqlType::of(BaseType::Float8);
    pub const BPCHAR: SqlType = SqlType::of(BaseType::Bpchar);
    pub const VARCHAR: SqlType = SqlType::of(BaseType::Varchar);
    pub const DATE: SqlType = SqlType::of(BaseType::Date);
    pub const TIME: SqlType = SqlType::of(BaseType::Time);
    pub const TIMESTAMP: SqlType = SqlType::of(BaseType::Timestamp);
    pub const TIMESTAMPTZ: SqlType = SqlType::of(BaseType::Timestamptz);
    pub const INTERVAL: SqlType = SqlType::of(BaseType::Interval);
    pub const NUMERIC: SqlType = SqlType::of(BaseType::Numeric);
    pub const REGPROCEDURE: SqlType = SqlType::of(BaseType::Regprocedure);
    pub const REGOPER: SqlType = SqlType::of(BaseType::Regoper);
    pub const REGCLASS: SqlType = SqlType::of(BaseType::Regclass);
    pub const REGTYPE: SqlType = SqlType::of(BaseType::Regtype);
    pub const RECORD: SqlType = SqlType::of(BaseType::Record);
    pub const VOID: SqlType = SqlType::VOID;
    pub const ANY: SqlType = SqlType::of(BaseType::Any);
    pub const ANY_ARRAY: SqlType = SqlType::array_of(BaseType::Any);
    pub const ANYARRAY: SqlType = SqlType::of(BaseType::AnyArray);
    pub const ANYELEMENT: SqlType = SqlType::of(BaseType::AnyElement);
    pub const ANYNONARRAY: SqlType = SqlType::of(BaseType::AnyNonArray);
    pub const UUID: SqlType = SqlType::of(BaseType::Uuid);
    pub const JSONB: SqlType = SqlType::of(BaseType::Jsonb);
    pub const REGNAMESPACE: SqlType = SqlType::of(BaseType::Regnamespace);
    pub const REGROLE: SqlType = SqlType::of(BaseType::Regrole);
    pub const ANYCOMPATIBLE: SqlType = SqlType::of(BaseType::AnyCompatible);
    pub const ANYCOMPATIBLEARRAY: SqlType = SqlType::of(BaseType::AnyCompatibleArray);
    pub const CHAR: SqlType = SqlType::of(BaseType::SingleChar);
    pub const ACLITEM_ARRAY: SqlType = SqlType::array_of(BaseType::AclItem);
    pub const TEXT_ARRAY: SqlType = SqlType::array_of(BaseType::Text);
    pub const INT4_ARRAY: SqlType = SqlType::array_of(BaseType::Int4);
    pub const FLOAT8_ARRAY: SqlType = SqlType::array_of(BaseType::Float8);
    pub const INTERVAL_ARRAY: SqlType = SqlType::array_of(BaseType::Interval);
    pub const NAME_ARRAY: SqlType = SqlType::array_of(BaseType::Name);
}
