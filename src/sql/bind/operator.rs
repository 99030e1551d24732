//! Operators: which one is meant (manual, 10.2), and the calls they become.

use super::super::ast::{Offset, OperatorName};
use super::super::bound::{Call, Expr};
use super::overload::{Candidate, Choice, choose};
use super::{Binder, generic};
use crate::error::{Error, Result, SqlState};
use crate::functions::{Function, Operator, operators_named};
use crate::types::SqlType;

impl Binder<'_> {
    /// `left operator right`; `places` are where the sides stand.
    pub(super) fn binary(
        &mut self,
        name: &OperatorName,
        left: Expr,
        right: Expr,
        at: Offset,
        places: [Offset; 2],
    ) -> Result<Expr> {
        let operator = self.find_operator(name, Some(left.ty()), right.ty(), at)?;
        self.apply(operator, vec![left, right], &places)
    }

    /// `operator operand`
    pub(super) fn prefix(
        &mut self,
        name: &OperatorName,
        operand: Expr,
        at: Offset,
        place: Offset,
    ) -> Result<Expr> {
        let operator = self.find_operator(name, None, operand.ty(), at)?;
        self.apply(operator, vec![operand], &[place])
    }

    fn apply(
        &mut self,
        operator: &'static Operator,
        args: Vec<Expr>,
        places: &[Offset],
    ) -> Result<Expr> {
        let mut declared = [operator.right; 2];
        let declared = match operator.left {
            Some(left) => {
                declared[0] = left;
                &declared[..]
            }
            None => &declared[..1],
        };
        let function = operator.function;
        if !declared.iter().copied().any(generic::is_polymorphic) {
            let args = self.arguments(args, declared, places)?;
            let ty = function.result;
            return Ok(Expr::Call(Call { function, args, ty, position: 0 }));
        }
        let actual: Vec<SqlType> = args.iter().map(Expr::ty).collect();
        let (types, ty) = generic::resolve(declared, &actual, function.result)?;
        let args = self.arguments(args, &types, places)?;
        Ok(Expr::Call(Call { function, args, ty, position: 0 }))
    }

    /// Arguments coerced to the types that a call takes.
    pub(super) fn arguments(
        &mut self,
        args: Vec<Expr>,
        types: &[SqlType],
        places: &[Offset],
    ) -> Result<Vec<Expr>> {
        let mut out = Vec::with_capacity(args.len());
        for (i, arg) in args.into_iter().enumerate() {
            let at = places.get(i).copied().unwrap_or_default();
            out.push(match types.get(i) {
                Some(ty) => self.coerce(arg, *ty, at)?,
                None => arg,
            });
        }
        Ok(out)
    }

    /// The operator meant. 42883 if none fits, 42725 if several do.
    pub(super) fn find_operator(
        &self,
        name: &OperatorName,
        left: Option<SqlType>,
        right: SqlType,
        at: Offset,
    ) -> Result<&'static Operator> {
        let in_catalog = match &name.schema {
            None => true,
            Some(schema) if &*schema.name == "pg_catalog" => true,
            Some(schema) if self.catalog.has_schema(&schema.name) => false,
            Some(schema) => {
                let message = format!("schema \"{}\" does not exist", schema.name);
                return Err(self.error(SqlState::INVALID_SCHEMA_NAME, message, at));
            }
        };
        let named = if in_catalog { operators_named(&name.name) } else { &[] };
        let choice = match left {
            Some(left) => binary_operator(named, left, right),
            None => prefix_operator(named, right),
        };
        match choice {
            Choice::One(operator) => Ok(operator),
            Choice::None => Err(self.no_operator(name, left, right, false, at)),
            Choice::Several => Err(self.no_operator(name, left, right, true, at)),
        }
    }

    fn no_operator(
        &self,
        name: &OperatorName,
        left: Option<SqlType>,
        right: SqlType,
        several: bool,
        at: Offset,
    ) -> Error {
        let schema = name.schema.as_ref().map(|s| format!("{}.", s.name)).unwrap_or_default();
        let left = left.map(|ty| format!("{ty} ")).unwrap_or_default();
        let signature = format!("{left}{schema}{} {right}", name.name);
        if several {
            let message = format!("operator is not unique: {signature}");
            let error = self.error(SqlState::AMBIGUOUS_FUNCTION, message, at);
            return error.with_hint(
                "Could not choose a best candidate operator. You might need to add explicit type \
                 casts.",
            );
        }
        let message = format!("operator does not exist: {signature}");
        let hint = match left.is_empty() {
            true => {
                "No operator matches the given name and argument type. You might need to add an \
                 explicit type cast."
            }
            false => {
                "No operator matches the given name and argument types. You might need to add \
                 explicit type casts."
            }
        };
        self.error(SqlState::UNDEFINED_FUNCTION, message, at).with_hint(hint)
    }

    /// The function behind an operator that gives a boolean, for `ANY`, `IN` and row comparisons.
    pub(super) fn comparison(
        &mut self,
        name: &OperatorName,
        left: Expr,
        right: Expr,
        at: Offset,
        places: [Offset; 2],
    ) -> Result<(&'static Function, Expr, Expr)> {
        match self.binary(name, left, right, at, places)? {
            Expr::Call(mut call) if call.args.len() == 2 => {
                let right = call.args.remove(1);
                Ok((call.function, call.args.remove(0), right))
            }
            other => Err(Error::internal(format!("an operator became {other:?}"))),
        }
    }
}

fn binary_operator(
    named: &'static [&'static Operator],
    left: SqlType,
    right: SqlType,
) -> Choice<&'static Operator> {
    let binary = || named.iter().copied().filter_map(|o| Some((o, o.left?)));
    // An unknown side is taken for what the other is, if there is such an operator.
    let (exact_left, exact_right) = match (left, right) {
        (SqlType::UNKNOWN, other) | (other, SqlType::UNKNOWN) => (other, other),
        sides => sides,
    };
    let exact = binary().find(|(o, l)| l.same(exact_left) && o.right.same(exact_right));
    if let Some((operator, _)) = exact {
        return Choice::One(operator);
    }
    let candidates =
        binary().map(|(o, l)| Candidate { item: o, types: [l, o.right].into_iter().collect() });
    chosen(choose(candidates, &[left, right]))
}

fn prefix_operator(
    named: &'static [&'static Operator],
    operand: SqlType,
) -> Choice<&'static Operator> {
    let prefix = || named.iter().copied().filter(|o| o.left.is_none());
    if let Some(operator) = prefix().find(|o| o.right.same(operand)) {
        return Choice::One(operator);
    }
    let candidates =
        prefix().map(|o| Candidate { item: o, types: [o.right].into_iter().collect() });
    chosen(choose(candidates, &[operand]))
}

fn chosen<T, U>(choice: Choice<(T, U)>) -> Choice<T> {
    match choice {
        Choice::One((item, _)) => Choice::One(item),
        Choice::None => Choice::None,
        Choice::Several => Choice::Several,
    }
}
