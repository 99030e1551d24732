//! Rows, arrays and lists: comparisons of rows, IN, ANY and ALL, ARRAY[…].

use super::super::ast::{Expr as Ast, ExprKind, Offset, OperatorName};
use super::super::bound::{Call, Expr};
use super::common::common_type;
use super::expr::{negate_if, volatility};
use super::operator_name;
use super::{Binder, literal};
use crate::error::{Error, Result, SqlState};
use crate::functions::{CastContext, Volatility};
use crate::types::{SqlType, pg_type};

/// Fields a row may have (PostgreSQL's MaxTupleAttributeNumber).
const ROW_FIELDS_MAX: usize = 1664;

impl Binder<'_> {
    /// `left operator right`, rows included.
    pub(super) fn binary_expr(
        &mut self,
        name: &OperatorName,
        left: &Ast,
        right: &Ast,
        at: Offset,
    ) -> Result<Expr> {
        match (&left.kind, &right.kind) {
            (ExprKind::Row(lefts), ExprKind::Row(rights)) => {
                let lefts = self.row_fields(lefts)?;
                let rights = self.row_fields(rights)?;
                self.compare_rows(name, lefts, rights, at)
            }
            (ExprKind::Row(lefts), ExprKind::Query(query)) => {
                self.compare_row_with_query(name, lefts, query, at)
            }
            _ => {
                let (bound, other) = (self.expr(left)?, self.expr(right)?);
                self.binary(name, bound, other, at, [left.at, right.at])
            }
        }
    }

    /// The fields of a row constructor, with where each stands; `t.*` is all columns of `t`.
    pub(super) fn row_fields(&mut self, items: &[Ast]) -> Result<Vec<(Expr, Offset)>> {
        let mut fields = Vec::with_capacity(items.len());
        for item in items {
            match &item.kind {
                ExprKind::Star(qualifier) if !qualifier.is_empty() => {
                    let columns = self.star_columns(qualifier)?;
                    fields.extend(columns.into_iter().map(|c| (c.expr, item.at)));
                }
                _ => fields.push((self.expr(item)?, item.at)),
            }
        }
        Ok(fields)
    }

    /// ROW(…) as a value.
    pub(super) fn row(&mut self, items: &[Ast], at: Offset) -> Result<Expr> {
        let fields = self.row_fields(items)?;
        if fields.len() > ROW_FIELDS_MAX {
            let message = format!("ROW expressions can have at most {ROW_FIELDS_MAX} entries");
            return Err(self.error(SqlState::TOO_MANY_COLUMNS, message, at));
        }
        let fields = fields.into_iter().map(|(field, at)| match field.ty() {
            SqlType::UNKNOWN => self.coerce(field, SqlType::TEXT, at),
            _ => Ok(field),
        });
        Ok(Expr::Row(fields.collect::<Result<_>>()?, None))
    }

    /// A comparison of two rows, field by field.
    pub(super) fn compare_rows(
        &mut self,
        name: &OperatorName,
        lefts: Vec<(Expr, Offset)>,
        rights: Vec<(Expr, Offset)>,
        at: Offset,
    ) -> Result<Expr> {
        if lefts.len() != rights.len() {
            let message = "unequal number of entries in row expressions";
            return Err(self.error(SqlState::SYNTAX_ERROR, message, at));
        }
        if lefts.is_empty() {
            let message = "cannot compare rows of zero length";
            return Err(self.error(SqlState::FEATURE_NOT_SUPPORTED, message, at));
        }
        let pairs: Vec<_> = lefts.into_iter().zip(rights).collect();
        let strict = match &*name.name {
            "=" | "<>" => None,
            "<" | "<=" => Some("<"),
            ">" | ">=" => Some(">"),
            _ if pairs.len() == 1 => None,
            symbol => {
                for ((left, left_at), (right, right_at)) in pairs {
                    let test = self.binary(name, left, right, at, [left_at, right_at])?;
                    self.row_test(test, at)?;
                }
                let message = format!(
                    "could not determine interpretation of row comparison operator {symbol}"
                );
                return Err(self.error(SqlState::FEATURE_NOT_SUPPORTED, message, at).with_hint(
                    "Row comparison operators must be associated with btree operator families.",
                ));
            }
        };
        if let Some(strict) = strict
            && pairs.len() > 1
        {
            return self.order_rows(name, strict, pairs, at);
        }
        let mut tests = Vec::with_capacity(pairs.len());
        for ((left, left_at), (right, right_at)) in pairs {
            let test = self.binary(name, left, right, at, [left_at, right_at])?;
            tests.push(self.row_test(test, at)?);
        }
        if tests.len() == 1 {
            return Ok(tests.remove(0));
        }
        Ok(if &*name.name == "<>" { Expr::Or(tests) } else { Expr::And(tests) })
    }

    /// `(a, b) < (c, d)` is `a < c OR (a = c AND b < d)`; NULLs come out as in PostgreSQL.
    fn order_rows(
        &mut self,
        name: &OperatorName,
        strict: &str,
        pairs: Vec<((Expr, Offset), (Expr, Offset))>,
        at: Offset,
    ) -> Result<Expr> {
        let (strict, equal) = (operator_name(strict), operator_name("="));
        let mut whole: Option<Expr> = None;
        for ((left, left_at), (right, right_at)) in pairs.into_iter().rev() {
            let volatile =
                |e: &Expr| volatility(e) == Volatility::Volatile || matches!(e, Expr::Subquery(_));
            if whole.is_some() && (volatile(&left) || volatile(&right)) {
                return Err(self.unsupported("comparing rows of volatile expressions", at));
            }
            let places = [left_at, right_at];
            whole = Some(match whole {
                None => {
                    let last = self.binary(name, left, right, at, places)?;
                    self.row_test(last, at)?
                }
                Some(rest) => {
                    let (l, r) = (left.clone(), right.clone());
                    let less = self.binary(&strict, l, r, at, places)?;
                    let less = self.row_test(less, at)?;
                    let same = self.binary(&equal, left, right, at, places)?;
                    Expr::Or(vec![less, Expr::And(vec![same, rest])])
                }
            });
        }
        whole.ok_or_else(|| Error::internal("a row without fields"))
    }

    pub(super) fn row_test(&self, test: Expr, at: Offset) -> Result<Expr> {
        let ty = test.ty();
        if ty.same(SqlType::BOOL) {
            return Ok(test);
        }
        let message = format!("row comparison operator must yield type boolean, not type {ty}");
        Err(self.error(SqlState::DATATYPE_MISMATCH, message, at))
    }

    /// IS DISTINCT FROM.
    pub(super) fn distinct(&mut self, left: &Ast, right: &Ast, at: Offset) -> Result<Expr> {
        // Against NULL it is a test for NULL.
        if matches!(right.kind, ExprKind::Null) {
            return self.null_test(left, true);
        }
        if matches!(left.kind, ExprKind::Null) {
            return self.null_test(right, true);
        }
        if let (ExprKind::Row(lefts), ExprKind::Row(rights)) = (&left.kind, &right.kind) {
            let (lefts, rights) = (self.row_fields(lefts)?, self.row_fields(rights)?);
            if lefts.len() != rights.len() {
                let message = "unequal number of entries in row expressions";
                return Err(self.error(SqlState::SYNTAX_ERROR, message, at));
            }
            let mut tests = Vec::with_capacity(lefts.len());
            for (left, right) in lefts.into_iter().zip(rights) {
                tests.push(self.distinct_values(left, right, at)?);
            }
            return Ok(match tests.len() {
                0 => literal::boolean(false),
                1 => tests.remove(0),
                _ => Expr::Or(tests),
            });
        }
        let left = (self.expr(left)?, left.at);
        let right = (self.expr(right)?, right.at);
        self.distinct_values(left, right, at)
    }

    fn distinct_values(
        &mut self,
        (left, left_at): (Expr, Offset),
        (right, right_at): (Expr, Offset),
        at: Offset,
    ) -> Result<Expr> {
        let equal = operator_name("=");
        let (function, left, right) =
            self.comparison(&equal, left, right, at, [left_at, right_at])?;
        Ok(Expr::IsDistinct { left: Box::new(left), right: Box::new(right), equal: function })
    }

    /// IS [NOT] NULL. A row is NULL if all its fields are, and NOT NULL if none is.
    pub(super) fn null_test(&mut self, operand: &Ast, negated: bool) -> Result<Expr> {
        let bound = self.expr(operand)?;
        match as_row(bound) {
            Expr::Row(fields, _) => {
                let mut tests: Vec<Expr> = fields
                    .into_iter()
                    .map(|field| negate_if(negated, Expr::IsNull(Box::new(field))))
                    .collect();
                Ok(match tests.len() {
                    0 => literal::boolean(true),
                    1 => tests.remove(0),
                    _ => Expr::And(tests),
                })
            }
            bound if bound.ty().same(SqlType::RECORD) && negated => {
                Err(self.unsupported("IS NOT NULL of a row value", operand.start()))
            }
            bound => Ok(negate_if(negated, Expr::IsNull(Box::new(bound)))),
        }
    }

    /// `operand [NOT] IN (list)`: one comparison with an array of what holds no columns, and one
    /// comparison with each other item.
    pub(super) fn in_list(
        &mut self,
        operand: &Ast,
        list: &[Ast],
        negated: bool,
        at: Offset,
    ) -> Result<Expr> {
        let name = operator_name(if negated { "<>" } else { "=" });
        if let ExprKind::Row(_) = operand.kind {
            return self.in_rows(operand, list, negated, at);
        }
        let left = self.expr(operand)?;
        let mut constants = Vec::new();
        let mut others = Vec::new();
        for item in list {
            let bound = self.expr(item)?;
            if self.has_columns(&bound) {
                others.push((bound, item.at));
            } else {
                constants.push((bound, item.at));
            }
        }
        let mut tests = Vec::new();
        let types = std::iter::once(left.ty()).chain(constants.iter().map(|(e, _)| e.ty()));
        let common = (constants.len() > 1).then(|| common_type(types).ok()).flatten();
        match common.filter(|ty| pg_type::array_of(*ty).is_some()) {
            Some(common) => {
                let mut items = Vec::with_capacity(constants.len());
                for (item, place) in constants {
                    items.push(self.coerce_to_common(item, common, "IN", place)?);
                }
                let array = Expr::Array(items, SqlType::array_of(common.base));
                tests.push(self.scalar_array(
                    &name,
                    (left.clone(), operand.at),
                    !negated,
                    (array, at),
                    at,
                )?);
            }
            None => others.splice(0..0, constants).for_each(drop),
        }
        for (item, place) in others {
            let test = self.binary(&name, left.clone(), item, at, [operand.at, place])?;
            tests.push(self.condition(test, "IN", at)?);
        }
        Ok(match (tests.len(), negated) {
            (1, _) => tests.remove(0),
            (_, true) => Expr::And(tests),
            (_, false) => Expr::Or(tests),
        })
    }

    fn in_rows(&mut self, operand: &Ast, list: &[Ast], negated: bool, at: Offset) -> Result<Expr> {
        let name = operator_name(if negated { "<>" } else { "=" });
        let mut tests = Vec::with_capacity(list.len());
        for item in list {
            let test = self.binary_expr(&name, operand, item, at)?;
            tests.push(self.condition(test, "IN", at)?);
        }
        Ok(match (tests.len(), negated) {
            (1, _) => tests.remove(0),
            (_, true) => Expr::And(tests),
            (_, false) => Expr::Or(tests),
        })
    }

    /// Whether an expression names a column of the innermost query.
    fn has_columns(&self, expr: &Expr) -> bool {
        let depth = self.levels.len() as u32 - 1;
        let mut found = false;
        super::super::walk::visit(expr, &mut |e| match e {
            Expr::Column(id, _) => found |= self.column_info(*id).level == depth,
            Expr::Subquery(_) => found = true,
            _ => {}
        });
        found
    }

    /// `left op ANY|ALL (array)`
    pub(super) fn any_all(
        &mut self,
        left: &Ast,
        name: &OperatorName,
        any: bool,
        array: &Ast,
        at: Offset,
    ) -> Result<Expr> {
        let bound = self.expr(left)?;
        let other = self.expr(array)?;
        self.scalar_array(name, (bound, left.at), any, (other, array.at), at)
    }

    fn scalar_array(
        &mut self,
        name: &OperatorName,
        (left, left_at): (Expr, Offset),
        any: bool,
        (array, array_at): (Expr, Offset),
        at: Offset,
    ) -> Result<Expr> {
        let ty = array.ty();
        let element = if ty.same(SqlType::UNKNOWN) {
            SqlType::UNKNOWN
        } else if ty.is_array {
            ty.element().plain()
        } else {
            match ty.base {
                crate::types::BaseType::Int2Vector => SqlType::INT2,
                crate::types::BaseType::OidVector => SqlType::OID,
                _ => {
                    let message = "op ANY/ALL (array) requires array on right side";
                    return Err(self.error(SqlState::WRONG_OBJECT_TYPE, message, at));
                }
            }
        };
        let operator = self.find_operator(name, Some(left.ty()), element, at)?;
        if !operator.function.result.same(SqlType::BOOL) {
            let message = "op ANY/ALL (array) requires operator to yield boolean";
            return Err(self.error(SqlState::WRONG_OBJECT_TYPE, message, at));
        }
        let declared = [operator.left.unwrap_or(operator.right), operator.right];
        let (types, _) = super::generic::resolve(&declared, &[left.ty(), element], SqlType::BOOL)?;
        let left = self.coerce(left, types[0], left_at)?;
        let wanted = pg_type::array_of(types[1].plain()).ok_or_else(|| {
            let message = format!("could not find array type for data type {}", types[1]);
            self.error(SqlState::UNDEFINED_OBJECT, message, at)
        })?;
        let array = self.coerce_array(array, wanted, array_at)?;
        Ok(Expr::AnyAll {
            any,
            left: Box::new(left),
            array: Box::new(array),
            function: operator.function,
            position: 0,
        })
    }

    /// An array as another array type; a constructor's elements are cast one by one.
    fn coerce_array(&mut self, array: Expr, wanted: SqlType, at: Offset) -> Result<Expr> {
        match array {
            Expr::Array(items, ty) if !ty.same(wanted) => {
                let element = wanted.element();
                let items = items.into_iter().map(|item| self.coerce(item, element, at));
                Ok(Expr::Array(items.collect::<Result<_>>()?, wanted))
            }
            array => self.coerce(array, wanted, at),
        }
    }

    /// ARRAY[…] without a type.
    pub(super) fn array(&mut self, items: &[Ast], at: Offset) -> Result<Expr> {
        if items.is_empty() {
            let message = "cannot determine type of empty array";
            let error = self.error(SqlState::INDETERMINATE_DATATYPE, message, at);
            return Err(error.with_hint(
                "Explicitly cast to the desired type, for example ARRAY[]::integer[].",
            ));
        }
        let bound = items.iter().map(|item| self.expr(item)).collect::<Result<Vec<_>>>()?;
        let places: Vec<Offset> = items.iter().map(Ast::start).collect();
        let (items, element) = self.unify(bound, &places, "ARRAY")?;
        if element.is_array {
            return Err(self.unsupported("a multidimensional array", at));
        }
        match pg_type::array_of(element) {
            Some(ty) => Ok(Expr::Array(items, ty)),
            None => {
                let message = format!("could not find array type for data type {element}");
                Err(self.error(SqlState::UNDEFINED_OBJECT, message, at))
            }
        }
    }

    /// `ARRAY[…]::type[]`
    pub(super) fn array_as(&mut self, items: &[Ast], to: SqlType, at: Offset) -> Result<Expr> {
        let element = to.element();
        let mut out = Vec::with_capacity(items.len());
        for item in items {
            if let ExprKind::Array(_) = item.kind {
                return Err(self.unsupported("a multidimensional array", at));
            }
            let bound = self.expr(item)?;
            let from = bound.ty();
            if from.is_array {
                return Err(self.unsupported("a multidimensional array", at));
            }
            match self.coerce_to(bound, element, CastContext::Explicit, item.at)? {
                Some(item) => out.push(item),
                None => {
                    let message = format!("cannot cast type {from} to {element}");
                    return Err(self.error(SqlState::CANNOT_COERCE, message, item.start()));
                }
            }
        }
        Ok(Expr::Array(out, to))
    }

    /// A call of a function of pg_catalog that the binder needs for a special form.
    pub(super) fn builtin_call(&mut self, name: &str, args: Vec<Expr>, at: Offset) -> Result<Expr> {
        let named = crate::functions::functions_named(name);
        let actual: Vec<SqlType> = args.iter().map(Expr::ty).collect();
        let found = super::overload::candidates(named, args.len());
        let function = super::overload::exact(&found, &actual)
            .ok_or_else(|| self.unsupported(name.to_ascii_uppercase(), at))?;
        Ok(Expr::Call(Call { function, args, ty: function.result, position: 0 }))
    }
}

/// The fields of a row that is one by its form, be it a table's.
fn as_row(expr: Expr) -> Expr {
    match expr {
        Expr::Case { otherwise, .. } if matches!(*otherwise, Expr::Row(_, Some(_))) => *otherwise,
        other => other,
    }
}
